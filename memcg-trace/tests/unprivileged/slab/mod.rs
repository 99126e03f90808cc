//! The ledger of slab caches: what happens, what is told, what it adds up to.
#![expect(clippy::unwrap_used, reason = "an event that is none fails the test")]

mod copies;
mod facts;
mod fired;

use std::collections::{BTreeMap, HashMap};

use memcg_trace::{
    attribution::{Container, container_of_path},
    event::Key,
    record::{CacheCopies, Clock, HookEvent},
    report::view::{SlabBy, SlabRequest, SlabView},
    slab::{
        CacheFamily, Leak, ListedCache, Listing, SlabBackend, SlabChange, SlabConfig, SlabEvent, SlabLedger,
        SlabRecord, SlabRun, SlabState, SlabStep, SlabTotals, Symbol, stem,
    },
};
use memcg_trace_common::{RawSlabEvent, SlabField, SlabHook};
use proptest::prelude::*;
use zerocopy::FromZeros as _;

use self::fired::*;

const MS: u64 = 1_000_000;
const GRACE_MS: u64 = 5_000;

/// A ledger that writes down what it tells.
struct Book {
    ledger: SlabLedger,
    told: Vec<String>,
}

fn book(hooked: bool) -> Book {
    let config = SlabConfig { hooked, tells_new: hooked, tells_release: hooked, grace_ns: GRACE_MS * MS };
    Book { ledger: SlabLedger::new(config), told: Vec::new() }
}

/// A run that traced for 100 ms.
fn run() -> SlabRun {
    SlabRun {
        backend: SlabBackend::Kprobe,
        backend_reason: None,
        unknown: Vec::new(),
        clock: Clock { boottime_offset_ns: 0, realtime_offset_ns: 0 },
        started_ns: Some(0),
        ended_ns: 100 * MS,
        grace_ns: GRACE_MS * MS,
        per_memcg: Some(true),
        listed: None,
        undecodable: 0,
        owners: HashMap::new(),
    }
}

fn balances(ledger: &SlabLedger) {
    let totals @ SlabTotals { created, adopted, live, destroying, leaked, released, .. } = *ledger.totals();
    assert_eq!(created + adopted, live + destroying + leaked + released, "{totals:?}");
    let existing = ledger.caches().count() as u64;
    assert_eq!(existing, live + destroying + leaked, "{totals:?}");
    assert_eq!(ledger.leaked().count() as u64, leaked);
}

impl Book {
    fn records(mut self, records: impl IntoIterator<Item = SlabRecord>) -> Self {
        for record in records {
            let mut changes = Vec::new();
            self.ledger.apply(&record, &mut changes);
            self.write(&changes);
        }
        self
    }

    fn time(mut self, ms: u64) -> Self {
        let mut changes = Vec::new();
        self.ledger.advance(ms * MS, &mut changes);
        self.write(&changes);
        self
    }

    fn write(&mut self, changes: &[SlabChange]) {
        for change in changes {
            let name = |number| {
                let cache = self.ledger.get(number).expect("changes name caches of the ledger");
                cache.name.escape_ascii().to_string()
            };
            let what = match &change.what {
                SlabStep::Created(number) => format!("created {}", name(*number)),
                SlabStep::Aliased(number) => {
                    let asked = self.ledger.get(*number).unwrap().asked.last().unwrap();
                    format!("{} -> {}", asked.name.escape_ascii(), name(*number))
                }
                SlabStep::Unaliased { number, .. } => format!("unaliased {}", name(*number)),
                SlabStep::Destroying(number) => format!("destroying {}", name(*number)),
                SlabStep::Leaked(number) => {
                    format!("leaked {} {:?}", name(*number), self.ledger.get(*number).unwrap().leak.unwrap())
                }
                SlabStep::Released { cache, late } => {
                    format!("released {}{}", cache.name.escape_ascii(), if *late { " late" } else { "" })
                }
                SlabStep::Failed { name, .. } => format!("failed {}", name.escape_ascii()),
                SlabStep::Lost { hook, events, .. } => format!("lost {events} {hook:?}"),
                SlabStep::Missed { hook, firings } => format!("missed {firings} {hook:?}"),
            };
            self.told.push(format!("{} {what}", change.t_ns / MS));
        }
        balances(&self.ledger);
    }

    #[track_caller]
    fn told(self, told: &[&str]) -> Self {
        assert_eq!(self.told, told);
        self
    }

    #[track_caller]
    fn totals(self, expected: impl FnOnce(&mut SlabTotals)) -> Self {
        let mut totals = SlabTotals::default();
        expected(&mut totals);
        assert_eq!(*self.ledger.totals(), totals);
        self
    }
}

#[test]
fn a_life() {
    book(true)
        .records([create(1, "a").at(1), destroy(1, "a", 1).at(2), release(1, "a").at(3)])
        .told(&["1 created a", "2 destroying a", "3 released a"])
        .totals(|totals| (totals.created, totals.released) = (1, 1));
}

#[test]
fn destroyed_and_not_released() {
    book(true)
        .records([create(1, "a").at(1), destroy(1, "a", 1).at(2)])
        .time(GRACE_MS)
        .told(&["1 created a", "2 destroying a"])
        .time(2 + GRACE_MS)
        .totals(|totals| (totals.created, totals.leaked) = (1, 1))
        .records([release(1, "a").at(9_000)])
        .told(&["1 created a", "2 destroying a", "5002 leaked a NotReleased", "9000 released a late"])
        .totals(|totals| (totals.created, totals.released, totals.late) = (1, 1, 1));
}

/// Without the hook on releases nothing can be said to have leaked.
#[test]
fn releases_unseen() {
    let mut blind = book(true);
    let config = SlabConfig { tells_release: false, ..*blind.ledger.config() };
    blind.ledger = SlabLedger::new(config);
    blind
        .records([create(1, "a").at(1), destroy(1, "a", 1).at(2)])
        .time(100_000)
        .told(&["1 created a", "2 destroying a"]);
}

#[test]
fn destroying_an_alias_is_no_release() {
    let book = book(true)
        .records([
            create(1, "a").at(1),
            alias(1, "a", "b", 2).at(2),
            destroy(1, "a", 2).at(3),
            destroy(1, "a", 1).at(4),
            release(1, "a").at(5),
        ])
        .told(&["1 created a", "2 b -> a", "3 unaliased a", "4 destroying a", "5 released a"]);
    book.totals(|totals| {
        (totals.created, totals.released, totals.aliased, totals.unaliased) = (1, 1, 1, 1);
    });
}

/// The hook that tells new caches from others is missing: the reference count does.
#[test]
fn aliases_by_reference_count() {
    let mut counted = book(true);
    counted.ledger = SlabLedger::new(SlabConfig { tells_new: false, ..*counted.ledger.config() });
    let mut first = create(1, "a");
    first.raw.header.known &= !SlabField::NEW;
    counted.records([first.at(1), alias(1, "a", "b", 2).at(2)]).told(&["1 created a", "2 b -> a"]);
}

#[test]
fn a_cache_that_was_there_before() {
    book(true)
        .records([
            listing(10, &[listed(":0000064", "old", &["old", "older"]), listed("plain", "plain", &[])]),
            alias(1, "old", "mine", 3).at(11),
            destroy(1, "old", 3).at(12),
            destroy(2, "plain", 1).at(13),
            release(2, "plain").at(14),
        ])
        .told(&["11 mine -> old", "12 unaliased old", "13 destroying plain", "14 released plain"])
        .totals(|totals| {
            (totals.adopted, totals.live, totals.released, totals.aliased, totals.unaliased) =
                (2, 1, 1, 1, 1);
        });
}

/// The hooks are attached before the list is read: what is in both is one cache.
#[test]
fn made_while_the_list_was_read() {
    book(true)
        .records([
            listing(10, &[listed("early", "early", &[])]),
            create(1, "early").at(5),
            create(2, "shortlived").at(6),
            release(2, "shortlived").at(7),
            // Gone before the list was read, created before the hooks were there.
            release(3, "gone").at(8),
            create(4, "early").at(20),
        ])
        .told(&["5 created early", "6 created shortlived", "7 released shortlived", "20 created early"])
        .totals(|totals| (totals.created, totals.live, totals.released) = (3, 2, 1));
}

#[test]
fn an_address_is_used_again() {
    book(true).records([create(1, "a").at(1), create(1, "b").at(2), release(1, "b").at(3)]).told(&[
        "1 created a",
        "2 released a",
        "2 created b",
        "3 released b",
    ]);
}

#[test]
fn a_module_goes_and_leaves_caches_behind() {
    let [mine, other] = ["leaky", "other"].map(Some);
    let book = book(true)
        .records([
            create(1, "kept").by("make", mine).at(1),
            create(2, "destroyed").module("leaky").at(2),
            create(3, "shared").by("make", mine).at(3),
            alias(3, "shared", "theirs", 2).by("make", other).at(4),
            destroy(2, "destroyed", 1).pid(9).at(5),
            release(2, "destroyed").pid(9).at(6),
            module_free("leaky", 9).at(7),
        ])
        .time(60_000);
    // Another module still uses the shared one.
    let leaked: Vec<_> = book.ledger.leaked().map(|cache| (&*cache.name, cache.leak)).collect();
    assert_eq!(leaked, [(&b"kept"[..], Some(Leak::ModuleGone))]);
}

/// Which name was dropped becomes known when the module of the thread that dropped it goes.
#[test]
fn names_are_dropped_by_their_module() {
    let [one, two] = ["one", "two"].map(Some);
    let book = book(true).records([
        create(1, "first").by("init", one).at(1),
        alias(1, "first", "second", 2).by("init", two).at(2),
        destroy(1, "first", 2).pid(5).at(3),
        module_free("one", 5).at(4),
    ]);
    let cache = book.ledger.caches().next().unwrap();
    assert_eq!((cache.state, cache.dropped_unnamed), (SlabState::Live, 0));
    let held: Vec<_> = cache.asked.iter().filter(|asked| !asked.dropped).map(|asked| &*asked.name).collect();
    assert_eq!(held, [b"second"]);
    // Of its other one a name is dropped, too, and one stays.
    let book = book.records([
        alias(1, "first", "third", 2).by("init", two).at(5),
        destroy(1, "first", 2).pid(6).at(6),
        module_free("two", 6).at(7),
    ]);
    let aliases = book.ledger.caches().flat_map(|cache| cache.aliases()).map(|asked| &*asked.name);
    assert_eq!(aliases.collect::<Vec<_>>(), [b"third"]);
}

#[test]
fn a_list_from_look_to_look() {
    let old = listed("plain", "plain", &[]);
    let merged = listed(":0000008", "zs_handle-zram1", &["zs_handle-zram1"]);
    let left = ListedCache { aliases: Some(-1), ..listed("left", "left", &[]) };
    let orphan = ListedCache { ctor_gone: true, ..listed("orphan", "orphan", &[]) };
    book(false)
        .records([
            listing(1, std::slice::from_ref(&old)),
            listing(2, &[old.clone(), merged, left.clone(), orphan.clone()]),
            listing(3, &[old, left, orphan]),
        ])
        .told(&[
            "2 created zs_handle-zram1",
            "2 created left",
            "2 leaked left NotReleased",
            "2 created orphan",
            "2 leaked orphan ModuleGone",
            "3 released zs_handle-zram1",
        ])
        .totals(|totals| {
            (totals.adopted, totals.created, totals.live, totals.leaked, totals.released) = (1, 3, 1, 2, 1);
        });
}

#[test]
fn only_what_grows_steadily_is_named() {
    let mut book = book(true);
    for look in 1..=4u64 {
        let grown = create(look, &format!("grown-{look}")).by("grow", Some("leaky")).at(10 * look);
        let pulse = create(100, "pulse-1").by("pulse", None).at(10 * look);
        book = book.records([grown, pulse]);
        book.ledger.look();
        book = book.records([release(100, "pulse-1").at(10 * look + 1)]);
        book.ledger.look();
    }
    let growing = book.ledger.growing();
    let [growing] = &growing[..] else { panic!("{growing:?}") };
    assert!(matches!(&growing.family, CacheFamily::Creator(symbol) if *symbol.function == *b"grow"));
    assert_eq!((growing.from, growing.to, growing.rises), (1, 4, 3));
}

#[test]
fn the_largest_growth_comes_first() {
    let families = [("few", [1, 2, 3, 4]), ("most", [1, 3, 6, 9]), ("many", [10, 11, 12, 14])];
    let mut book = book(true);
    let mut made = [0; 3];
    for look in 0..4 {
        for (family, (function, counts)) in families.iter().enumerate() {
            for number in made[family]..counts[look] {
                let address = 100 * (family as u64 + 1) + number;
                book = book.records([create(address, "a").by(function, None).at(look as u64)]);
            }
            made[family] = counts[look];
        }
        book.ledger.look();
    }
    let grown = book.ledger.growing().into_iter().map(|growing| (growing.from, growing.to));
    assert_eq!(grown.collect::<Vec<_>>(), [(1, 9), (10, 14), (1, 4)]);
}

/// What the merge goes by, and what callers are looked up by.
#[test]
fn what_an_event_says_of_its_firing() {
    fn place(event: &impl HookEvent<Hook = SlabHook>) -> (SlabHook, u32, u64, u64) {
        (event.hook(), event.cpu(), event.seq(), event.t_ns())
    }
    let event = |stack: i32, known: u32| {
        let mut fired = create(1, "a");
        (fired.raw.header.cpu, fired.raw.header.seq, fired.raw.header.stack) = (3, 41, stack);
        fired.raw.header.known |= known;
        match fired.at(5) {
            SlabRecord::Event(event) => event,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(place(&event(0, 0)), (SlabHook::Create, 3, 41, 5 * MS));
    let stacks = [(7, 0), (7, SlabField::STACK), (-14, SlabField::STACK)];
    assert_eq!(stacks.map(|(stack, known)| event(stack, known).stack()), [None, Some(7), None]);
}

#[test]
fn states_have_one_name_in_text_and_json() {
    let states = [SlabState::Live, SlabState::Destroying, SlabState::Leaked, SlabState::Released];
    let names = ["live", "destroying", "leaked", "released"];
    assert_eq!(states.map(|state| state.to_string()), names);
    assert_eq!(states.map(|state| format!("{state:>12}").len()), [12; 4]);
}

#[test]
fn loss_is_not_calm() {
    let lost = SlabRecord::Lost { t_ns: MS, hook: SlabHook::Release, cpu: 0, events: 2 };
    let missed = SlabRecord::Missed { t_ns: MS, hook: SlabHook::Destroy, firings: 1 };
    for record in [lost, missed] {
        let ledger = book(true).records([record]).ledger;
        assert!(!ledger.conclusive() && !run().conclusive(&ledger));
    }
    let ledger = book(true).records([create(1, "a").at(1)]).ledger;
    assert!(ledger.conclusive() && run().conclusive(&ledger));
    assert!(!SlabRun { undecodable: 1, ..run() }.conclusive(&ledger));
}

/// Each new cache proves the layout it is read by.
#[test]
fn a_name_that_was_not_asked_for() {
    let book = book(true).records([create(1, "a").asked("b").at(1)]);
    assert_eq!((book.ledger.totals().misread, book.ledger.conclusive()), (1, false));
}

#[test]
fn stems() {
    let table = [
        ("kmalloc-rnd-05-64", "kmalloc-rnd-#-#"),
        ("dentry(123:kubepods)", "dentry"),
        ("(odd)", "(odd)"),
        ("zspage-zram10", "zspage-zram#"),
    ];
    for (name, expected) in table {
        assert_eq!(stem(name.as_bytes()), expected.as_bytes());
    }
}

fn any_record() -> impl Strategy<Value = SlabRecord> {
    let address = 1..6u64;
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("")];
    let module = prop_oneof![Just("x"), Just("y")];
    let event = (0..11usize, address, name, module, -1..4i32, any::<[bool; 6]>(), 0..50u64).prop_map(
        |(hook, address, name, module, refs, known, ms)| {
            let mut fired = fired(SlabHook::ALL[hook]).pid(refs.unsigned_abs());
            let [cache, asked, new, in_module, counted, memcg] = known;
            fired = if cache { fired.cache(address, name) } else { fired };
            fired = if asked { fired.asked(name) } else { fired };
            fired = if new { fired.made() } else { fired };
            fired = if in_module { fired.module(module) } else { fired };
            fired = if counted { fired.refs(refs) } else { fired };
            fired = if memcg { fired.memcg(address).copy_of(address + 1) } else { fired };
            fired.at(ms)
        },
    );
    let dirs = prop::collection::vec((prop_oneof![Just("a"), Just("b"), Just(":1")], -1..3i64), 0..4);
    let listing = (dirs, 0..50u64).prop_map(|(dirs, ms)| {
        let entry = |(dir, aliases)| ListedCache { aliases: Some(aliases), ..listed(dir, "a", &["b"]) };
        listing(ms, &dirs.into_iter().map(entry).collect::<Vec<_>>())
    });
    prop_oneof![8 => event, 1 => listing]
}

proptest! {
    /// Any events in any order: no panic, and the books balance.
    #[test]
    fn books_balance(records in prop::collection::vec(any_record(), 0..60), hooked in any::<bool>()) {
        let mut book = book(hooked);
        for (number, record) in records.into_iter().enumerate() {
            let mut changes = Vec::new();
            book.ledger.apply(&record, &mut changes);
            book.ledger.advance(number as u64 * 400 * MS, &mut changes);
            book.ledger.look();
            balances(&book.ledger);
        }
    }
}
