//! What holds for any history: no panic, conserved counts, the same ledger for any interleaving, and no loss unnoticed.

use std::collections::{BTreeMap, HashMap};

use memcg_trace::{
    event::{Event, Key},
    record::{Backend, Merge, Record},
    tracker::{Memcg, State, Totals, Tracker, TrackerConfig},
};
use memcg_trace_common::{EventHeader, Hook};
use proptest::prelude::*;
use proptest::sample::Index;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::events::{Css, Fired, MS, css};

/// How far a memcg comes, and on the way there.
#[derive(Clone, Debug)]
struct Plan {
    /// Which of the earlier memcgs it is below, if any.
    parent: Option<Index>,
    /// Which of its events is the last.
    end: State,
    /// The tool starts when its directory is there already.
    before_start: bool,
    /// Its controller is switched off and on again: a second generation follows, to the same end.
    toggled: bool,
    /// Swapped-out pages hold its ID while it is dying.
    held: bool,
}

/// What happened: every event in the order of time, numbered per hook and CPU, and the truth about each memcg.
#[derive(Clone, Debug)]
struct History {
    backend: Backend,
    events: Vec<Event>,
    truth: BTreeMap<Key, Truth>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Truth {
    state: State,
    adopted: bool,
}

fn plan(toggles: bool) -> impl Strategy<Value = Plan> {
    let state = prop_oneof![
        1 => Just(State::Online),
        1 => Just(State::Removed),
        1 => Just(State::Dying),
        4 => Just(State::Freed),
    ];
    let parent = proptest::option::of(any::<Index>());
    let toggled = prop::bool::weighted(if toggles { 0.2 } else { 0.0 });
    (parent, state, prop::bool::weighted(0.2), toggled, any::<bool>()).prop_map(
        |(parent, end, before_start, toggled, held)| Plan { parent, end, before_start, toggled, held },
    )
}

fn history(backend: Backend, toggles: bool) -> impl Strategy<Value = History> {
    let plans = prop::collection::vec(plan(toggles), 1..40);
    (plans, any::<u64>())
        .prop_map(move |(plans, seed)| History::of(backend, plans, seed))
        .prop_filter("nothing happened", |history| !history.events.is_empty())
}

fn any_history() -> impl Strategy<Value = History> {
    prop_oneof![history(Backend::Kprobe, true), history(Backend::Tracepoint, false)]
}

impl History {
    fn of(backend: Backend, mut plans: Vec<Plan>, seed: u64) -> Self {
        // A parent is older than its children and outlives them.
        let parents: Vec<Option<usize>> = (0..plans.len())
            .map(|child| plans[child].parent.filter(|_| child > 0).map(|parent| parent.index(child)))
            .collect();
        for (child, parent) in parents.iter().enumerate().rev() {
            if let Some(parent) = *parent {
                plans[parent].end = plans[parent].end.min(plans[child].end);
                plans[parent].before_start |= plans[child].before_start;
            }
        }
        let mut history = Self { backend, events: Vec::new(), truth: BTreeMap::new() };
        let mut fired: Vec<(u64, Fired)> = Vec::new();
        let mut family: Vec<Css> = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            let own = css(10 + 2 * number as u64, format!("cgroup{number}"));
            let own = parents[number].map_or(own.clone(), |parent| own.below(&family[parent]));
            // Births go down the tree, deaths go up.
            let (birth, death) = (10 * number as u64, 10_000 - 10 * number as u64);
            fired.extend(history.life(plan, &own, birth, death));
            family.push(own);
        }
        fired.sort_by_key(|&(order, _)| order);
        history.number(fired, seed);
        history
    }

    fn life(&mut self, plan: &Plan, css: &Css, birth: u64, death: u64) -> Vec<(u64, Fired)> {
        let mut fired = Vec::new();
        let mut live = css.clone();
        if !plan.before_start {
            let births = [(birth, css.alloc()), (birth + 1, css.online())];
            fired.extend(match self.backend {
                Backend::Kprobe => births.to_vec(),
                Backend::Tracepoint => vec![(birth, css.mkdir())],
            });
        }
        if plan.toggled {
            let first = Truth { state: plan.end.max(State::Dying), adopted: plan.before_start };
            self.truth.insert(css.key, first.clone());
            fired.extend(off(css, plan.held, birth + 2));
            if first.state == State::Freed {
                fired.extend([(death + 5_000, css.released()), (death + 5_001, css.free())]);
            }
            live = css.next_generation(css.key.serial + 1);
            fired.extend([(birth + 5, live.alloc()), (birth + 6, live.online())]);
        }
        let adopted = plan.before_start && !plan.toggled;
        if adopted && plan.end == State::Online {
            return fired;
        }
        let state = match self.backend {
            Backend::Tracepoint if plan.end == State::Removed => State::Dying,
            _ => plan.end,
        };
        self.truth.insert(live.key, Truth { state, adopted });
        if plan.end >= State::Removed {
            fired.push((death, live.rmdir()));
        }
        if plan.end >= State::Dying && self.backend == Backend::Kprobe {
            fired.extend(off(&live, plan.held, death + 1));
        }
        if plan.end == State::Freed {
            fired.extend(match self.backend {
                Backend::Kprobe => vec![(death + 5_002, live.released()), (death + 5_003, live.free())],
                Backend::Tracepoint => vec![(death + 5_002, live.cgroup_release())],
            });
        }
        fired
    }

    /// Gives each event its time, its CPU and its number.
    fn number(&mut self, fired: Vec<(u64, Fired)>, mut seed: u64) {
        let mut numbers: HashMap<(u16, u32), u64> = HashMap::new();
        for (place, (_, mut fired)) in fired.into_iter().enumerate() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            fired.header.cpu = (seed >> 60) as u32 % 4;
            fired.header.t_ns = (place as u64 + 1) * MS;
            let number = numbers.entry((fired.header.hook, fired.header.cpu)).or_default();
            *number += 1;
            fired.header.seq = *number;
            self.events.push(fired.event());
        }
    }

    fn tracker(&self) -> Tracker {
        Tracker::new(TrackerConfig {
            backend: self.backend,
            grace_ns: u64::MAX,
            live_at_start: Some(1),
            paths: HashMap::new(),
        })
    }

    /// What each hook says, in the end, that it emitted on each CPU.
    fn emitted(&self) -> Vec<(Hook, u32, u64)> {
        let mut emitted = BTreeMap::new();
        for event in &self.events {
            emitted.insert((event.hook(), event.header().cpu), event.header().seq);
        }
        emitted.into_iter().map(|((hook, cpu), seq)| (hook, cpu, seq)).collect()
    }

    /// What the ledger must hold in the end: everything but the freed.
    fn survivors(&self) -> BTreeMap<Key, State> {
        let alive = self.truth.iter().filter(|(_, truth)| truth.state != State::Freed);
        alive.map(|(key, truth)| (*key, truth.state)).collect()
    }
}

/// The controller goes: css_offline, and what it leaves of the ID.
fn off(css: &Css, held: bool, order: u64) -> [(u64, Fired); 2] {
    let returned = if held { css.offline_id_held(3) } else { css.offline_id_released() };
    [(order, css.offline_enter()), (order + 1, returned)]
}

/// A tracker whose counts are checked after each record.
struct Checked(Tracker);

impl Checked {
    fn apply(&mut self, record: &Record) {
        let Self(tracker) = self;
        let mut out = Vec::new();
        tracker.apply(record, &mut out);
        let Totals { created, adopted, live, removed, dying, freed, leaked, late, .. } = *tracker.totals();
        assert_eq!(created + adopted, live + removed + dying + freed, "after {record:?}");
        assert!(leaked <= dying && late <= freed);
        assert_eq!(tracker.memcgs().count() as u64, live + removed + dying);
        assert_eq!(tracker.charged_to_dying(), self.charged_to_dying(), "after {record:?}");
    }

    /// The same, counted anew.
    fn charged_to_dying(&self) -> Option<u64> {
        let dying: BTreeMap<Key, &Memcg> = self.0.dying().map(|memcg| (memcg.key, memcg)).collect();
        let alone = |memcg: &&&Memcg| {
            memcg.parent.is_none_or(|parent| parent == memcg.key || !dying.contains_key(&parent))
        };
        let known = dying.values().all(|memcg| memcg.charged_pages.is_some());
        let pages = dying.values().filter(alone).filter_map(|memcg| memcg.charged_pages);
        known.then(|| pages.fold(0, u64::saturating_add))
    }

    fn states(&self) -> BTreeMap<Key, State> {
        self.0.memcgs().map(|memcg| (memcg.key, memcg.state)).collect()
    }
}

/// The events of each CPU in their order, the CPUs interleaved as `choices` say.
fn interleave(events: &[Event], choices: &[Index]) -> Vec<Event> {
    let mut cpus: Vec<Vec<Event>> = vec![Vec::new(); 4];
    for event in events.iter().rev() {
        cpus[event.header().cpu as usize].push(event.clone());
    }
    let mut choices = choices.iter().cycle();
    let mut arrivals = Vec::new();
    while arrivals.len() < events.len() {
        let waiting: Vec<usize> = (0..cpus.len()).filter(|&cpu| !cpus[cpu].is_empty()).collect();
        let cpu = choices.next().map_or(waiting[0], |choice| *choice.get(&waiting));
        arrivals.extend(cpus[cpu].pop());
    }
    arrivals
}

fn merged(arrivals: &[Event], watermarks: &[(Index, u64)], emitted: &[(Hook, u32, u64)]) -> Vec<Record> {
    let (mut merge, mut records) = (Merge::new(), Vec::new());
    for (place, event) in arrivals.iter().enumerate() {
        merge.push(event.clone());
        for (_, back_ns) in watermarks.iter().filter(|(at, _)| at.index(arrivals.len()) == place) {
            merge.release(event.t_ns().saturating_sub(*back_ns), |record| records.push(record));
        }
    }
    merge.finish(emitted.iter().copied(), |record| records.push(record));
    records
}

fn choices() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 1..50)
}

/// Where the watermark moves, and how far it then lies behind: often too little to wait for all CPUs.
fn watermarks() -> impl Strategy<Value = Vec<(Index, u64)>> {
    prop::collection::vec((any::<Index>(), 0..50 * MS), 0..20)
}

proptest! {
    #[test]
    fn the_ledger_tells_the_truth(history in any_history()) {
        let mut checked = Checked(history.tracker());
        history.events.iter().cloned().for_each(|event| checked.apply(&Record::Event(event)));
        prop_assert_eq!(checked.states(), history.survivors());
        let totals = checked.0.totals();
        let count = |is: &dyn Fn(&Truth) -> bool| history.truth.values().filter(|truth| is(truth)).count() as u64;
        prop_assert_eq!(totals.created, count(&|truth| !truth.adopted));
        prop_assert_eq!(totals.adopted, count(&|truth| truth.adopted));
        prop_assert_eq!(totals.freed, count(&|truth| truth.state == State::Freed));
        prop_assert!(checked.0.conclusive());
    }

    /// A merge that waits long enough restores the order of time, whatever the CPUs do and however often events come.
    #[test]
    fn the_merge_restores_the_order(history in any_history(), choices in choices(), twice in choices()) {
        let mut arrivals = interleave(&history.events, &choices);
        for index in twice {
            let original = index.index(arrivals.len());
            let later = original + 1 + index.index(arrivals.len() - original);
            arrivals.insert(later, arrivals[original].clone());
        }
        let records = merged(&arrivals, &[], &history.emitted());
        let expected: Vec<Record> = history.events.iter().cloned().map(Record::Event).collect();
        prop_assert_eq!(records, expected);
    }

    /// Whatever the watermark, the ledger ends the same and nothing counts as lost.
    #[test]
    fn same_ledger_for_any_interleaving(history in any_history(), choices in choices(), watermarks in watermarks()) {
        let arrivals = interleave(&history.events, &choices);
        let mut checked = Checked(history.tracker());
        for record in merged(&arrivals, &watermarks, &history.emitted()) {
            checked.apply(&record);
        }
        let mut in_order = Checked(history.tracker());
        history.events.iter().cloned().for_each(|event| in_order.apply(&Record::Event(event)));
        prop_assert_eq!(checked.states(), history.survivors());
        prop_assert_eq!(checked.0.totals(), in_order.0.totals());
        prop_assert!(checked.0.conclusive());
    }

    /// Even without a merge, in any order at all.
    #[test]
    fn same_ledger_for_any_order(
        (history, events) in any_history().prop_flat_map(|history| {
            let events = Just(history.events.clone()).prop_shuffle();
            (Just(history), events)
        })
    ) {
        let mut checked = Checked(history.tracker());
        events.into_iter().for_each(|event| checked.apply(&Record::Event(event)));
        prop_assert_eq!(checked.states(), history.survivors());
    }

    /// What is dropped, be it the last event of a CPU, is counted to the event, and the answer is never clean.
    #[test]
    fn no_loss_unnoticed(
        history in any_history(),
        choices in choices(),
        watermarks in watermarks(),
        dropped in prop::collection::vec(any::<Index>(), 0..5),
    ) {
        let mut arrivals = interleave(&history.events, &choices);
        let before = arrivals.len();
        for index in dropped {
            if !arrivals.is_empty() {
                arrivals.remove(index.index(arrivals.len()));
            }
        }
        let lost = (before - arrivals.len()) as u64;
        let mut checked = Checked(history.tracker());
        for record in merged(&arrivals, &watermarks, &history.emitted()) {
            checked.apply(&record);
        }
        prop_assert_eq!(checked.0.totals().lost_events, lost);
        prop_assert_eq!(checked.0.conclusive(), lost == 0);
    }

    /// Nonsense in the form of events: fields of any value, few enough of them that they meet.
    #[test]
    fn nonsense_is_borne(
        tracepoint in any::<bool>(),
        headers in prop::collection::vec(nonsense(), 1..200),
        grace_ns in 0..300u64,
    ) {
        let backend = if tracepoint { Backend::Tracepoint } else { Backend::Kprobe };
        let config = TrackerConfig { backend, grace_ns, live_at_start: Some(1), paths: HashMap::new() };
        let mut checked = Checked(Tracker::new(config));
        let mut furthest: BTreeMap<Key, State> = BTreeMap::new();
        for header in headers {
            let event = Event::new(header, b"/").expect("a hook of the contract");
            checked.apply(&Record::Event(event));
            checked.0.advance(header.t_ns, &mut Vec::new());
            let states = checked.states();
            // Without serial numbers, the next memcg at the address is taken for the same.
            for (key, state) in furthest.iter_mut().filter(|(key, _)| key.serial != 0) {
                let now = states.get(key).copied().unwrap_or(State::Freed);
                prop_assert!(now >= *state, "{:?} went from {:?} to {:?}", key, state, now);
                *state = now;
            }
            furthest.extend(states);
        }
    }

    /// Whatever is pushed and wherever the watermark is, each stream comes out forwards, and gaps add up.
    #[test]
    fn streams_run_forwards(headers in prop::collection::vec(nonsense(), 1..200)) {
        let (mut merge, mut records) = (Merge::new(), Vec::new());
        for header in &headers {
            merge.push(Event::new(*header, b"").expect("a hook of the contract"));
            merge.release(header.t_ns / 2, |record| records.push(record));
        }
        merge.finish([], |record| records.push(record));
        let mut numbers: HashMap<(Hook, u32), u64> = HashMap::new();
        let mut released = 0;
        for record in records {
            match record {
                Record::Lost { hook, cpu, events, .. } => *numbers.entry((hook, cpu)).or_default() += events,
                Record::Missed { .. } | Record::Walk(_) | Record::Learned(_) => {
                    unreachable!("the merge sees none of these")
                }
                Record::Event(event) => {
                    let number = numbers.entry((event.hook(), event.header().cpu)).or_default();
                    *number += 1;
                    prop_assert_eq!(*number, event.header().seq);
                    released += 1;
                }
            }
        }
        prop_assert_eq!(released + merge.duplicates(), headers.len() as u64);
        prop_assert_eq!(merge.pending(), 0);
    }

    #[test]
    fn any_bytes_decode_or_not(bytes in prop::collection::vec(any::<u8>(), 0..600), hook in 0..15u16) {
        if let Ok(event) = Event::decode(&bytes) {
            prop_assert!(event.name().is_none_or(|name| bytes[size_of::<EventHeader>()..].starts_with(name)));
        }
        // The same with a hook that most likely exists.
        if let Ok((mut header, name)) = EventHeader::read_from_prefix(&bytes) {
            header.hook = hook;
            header.name_len %= 300;
            let bytes = [header.as_bytes(), name].concat();
            if let Ok(event) = Event::decode(&bytes) {
                prop_assert_eq!(event.header(), &header);
                prop_assert_eq!(Event::new(header, &name[..header.name_len.into()]), Ok(event));
            }
        }
    }
}

fn nonsense() -> impl Strategy<Value = EventHeader> {
    let numbers = prop::collection::vec(prop_oneof![8 => 0..4u64, 1 => any::<u64>()], 13);
    (0..Hook::COUNT as u16, any::<u32>(), 0..3u32, numbers).prop_map(|(hook, known, cpu, numbers)| {
        let mut header = EventHeader::read_from_bytes(&[0; size_of::<EventHeader>()]).expect("its own size");
        header.hook = hook;
        // Most fields known, most of the time.
        header.known = known | known.rotate_left(7) | known.rotate_left(13);
        header.cpu = cpu;
        header.t_ns = numbers[0].wrapping_mul(100);
        header.seq = numbers[1];
        header.css = numbers[2];
        header.serial = numbers[3];
        header.cgroup_id = numbers[4];
        header.parent_css = numbers[5];
        header.parent_serial = numbers[6];
        header.parent_cgroup_id = numbers[7];
        header.memcg_id = numbers[8] as u32;
        header.errno = numbers[9] as u32;
        header.css_flags = numbers[10] as u32;
        header.level = numbers[11] as u32;
        header.charged_pages = numbers[12];
        header
    })
}
