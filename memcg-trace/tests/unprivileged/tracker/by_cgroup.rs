//! Kernels where a memcg outlives its css (3.10): `css_free` says nothing, `__mem_cgroup_free` is the end. Their csses have
//! no serial numbers.

use super::*;

/// A memcg of such a kernel.
fn old(css: u64, name: &str) -> Css {
    let mut old = self::css(css, name);
    old.key.serial = 0;
    old
}

/// From online at `ms` to css_free 40 ms later, with the ID held throughout.
fn held(css: &Css, ms: u64) -> [Event; 5] {
    [
        css.online().at(ms),
        css.rmdir().by("rmdir").at(ms + 30),
        css.offline_enter().by("rmdir").at(ms + 30),
        css.fire(Hook::CssOffline).memcg_id(css.memcg_id, 0).without(Field::ID_REFS).at(ms + 31),
        css.css_put().at(ms + 40),
    ]
}

#[test]
fn a_life_without_a_leak() {
    let web = old(7, "web");
    kprobe()
        .events(held(&web, 2))
        .holds(&["/web dying, id 7"])
        .events([web.memcg_free().at(45)])
        .holds(&[])
        .told(&[
            "2 online /web",
            "32 removed /web",
            "33 offline /web",
            "42 css freed /web",
            "45 freed /web after 13",
        ])
        .totals(|totals| {
            totals.created = 1;
            totals.css_freed = 1;
            totals.freed = 1;
        });
}

/// The seed's bug: css_free came, `__mem_cgroup_free` did not, and the ID is gone.
#[test]
fn css_freed_but_held() {
    let (web, next) = (old(7, "web"), old(8, "next"));
    let config = TrackerConfig {
        backend: Backend::Kprobe,
        grace_ns: GRACE_MS * MS,
        live_at_start: Some(1),
        paths: HashMap::new(),
    };
    let ledger = Ledger::with(config).events(held(&web, 2)).events([next.online().at(50)]).time(6_000);
    let memcg = ledger.memcg(&web);
    assert_eq!(memcg.css_freed_ns, Some(42 * MS));
    assert_eq!(memcg.remover.map(|task| task.comm[..5].to_vec()), Some(b"rmdir".to_vec()));
    let ids = ledger.tracker.ids();
    assert_eq!((ids.used, ids.held_by_dying), (Some(3), Some(1)));
    ledger.holds(&["/web dying, id 7, leaked", "/next online, id 8 refs 1"]);
}

fn caches(of: &Css, names: &[&str]) -> Record {
    let names = names.iter().map(|name| name.as_bytes().into()).collect();
    Record::Learned(Learned::Copies(CacheCopies { t_ns: 0, hold: true, of: vec![(of.key, names)] }))
}

/// Who is due can be asked before time passes, and what was read of it is there when it is told as leaked.
#[test]
fn caches_are_known_before_the_leak_is_told() {
    let (web, next) = (old(7, "web"), old(8, "next"));
    let due = |ledger: &Ledger, ms: u64| ledger.tracker.due(ms * MS).collect::<Vec<_>>();
    let ledger = kprobe().events(held(&web, 2)).events(held(&next, 50));
    assert_eq!(due(&ledger, 5_031), []);
    assert_eq!(due(&ledger, 5_032), [web.key]);
    assert_eq!(due(&ledger, 6_000), [web.key, next.key]);
    let ledger = ledger.record(caches(&web, &["anon_vma(0:web)"])).record(caches(&next, &[])).time(5_032);
    assert_eq!(due(&ledger, 6_000), [next.key], "one is told");
    let names = |css: &Css| ledger.memcg(css).slab_caches.as_ref().map(|caches| caches.names.len());
    assert_eq!((names(&web), names(&next)), (Some(1), Some(0)), "none is known to be none");
}

/// What lives at an address now has nothing of what died there.
#[test]
fn caches_go_with_their_memcg() {
    let web = old(7, "web");
    let read = || caches(&web, &["anon_vma(0:web)"]);
    let ledger = kprobe().events(held(&web, 2)).record(read()).events([web.online().at(100)]);
    assert_eq!(ledger.memcg(&web).slab_caches, None);
    let ledger = ledger.record(read());
    assert_eq!(ledger.memcg(&web).slab_caches, None, "it was read before the birth was known");
    ledger.events([web.memcg_free().at(200)]).record(read()).holds(&[]);
}

/// Its memory was used anew: it was freed, whatever was missed.
#[test]
fn an_address_that_lives_again() {
    let web = old(7, "web");
    kprobe().events(held(&web, 2)).events([web.online().at(100)]).holds(&["/web online, id 7 refs 1"]);
}

#[test]
fn older_than_the_start() {
    let web = old(7, "web");
    kprobe().events([web.memcg_free().at(5)]).holds(&[]).told(&["5 freed ? after ?"]).totals(|totals| {
        totals.adopted = 1;
        totals.freed = 1;
    });
}

/// Where the layout is not known: no ID, no name of the directory, but a path.
#[test]
fn known_by_its_address_alone() {
    let facts = Field::MEMCG_ID | Field::ID_REFS | Field::CGROUP_ID | Field::LEVEL | Field::NAME;
    let blind = |fired: Fired| fired.without(facts | Field::PARENT | Field::PARENT_CGROUP_ID);
    let web = old(7, "/kubepods/web");
    let mut named = blind(web.mkdir());
    named.header.known |= Field::NAME | Field::PATH;
    let ledger = kprobe()
        .events([blind(web.online()).at(1), named.at(2), blind(web.rmdir()).at(10)])
        .events([blind(web.offline_enter()).at(11), blind(web.fire(Hook::CssOffline)).at(12)])
        .holds(&["/kubepods/web dying, id unknown"]);
    let ids = ledger.tracker.ids();
    assert_eq!((ids.used, ids.held_by_dying), (None, None), "not known is not zero");
    ledger.events([blind(web.free()).at(20)]).holds(&[]);
}
