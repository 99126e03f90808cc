//! What is known of a cache, and from where.

use memcg_trace::slab::Cache;

use super::*;

fn only(book: &Book) -> &Cache {
    let caches: Vec<_> = book.ledger.caches().collect();
    let [cache] = caches[..] else { panic!("{caches:?}") };
    cache
}

/// What is in the list has no address: an event is about the cache that has its name, or a link of that name.
#[test]
fn a_listed_cache_is_found_by_its_names() {
    book(true)
        .records([
            listing(
                10,
                &[listed(":0000064", "old", &["old", "older"]), listed("plain", "plain", &["plain"])],
            ),
            alias(1, "older", "mine", 3).at(11),
            alias(2, "stranger", "yours", 3).at(12),
            // Created after the list was read: another one of that name.
            create(3, "plain").at(13),
        ])
        .told(&["11 mine -> old", "12 yours -> stranger", "13 created plain"])
        .totals(|totals| (totals.adopted, totals.created, totals.live, totals.aliased) = (3, 1, 4, 2));
}

#[test]
fn whose_a_cache_is() {
    let ctor = |module: Option<&str>| {
        let module = module.map(|module| module.as_bytes().into());
        Some(Symbol { function: b"init_once"[..].into(), offset: 0, module })
    };
    let with_ctor = |ctor| listing(1, &[ListedCache { ctor, ..listed("a", "a", &[]) }]);
    let family = |name: &str| CacheFamily::Name(name.as_bytes().into());
    let of = |function: &str, module: Option<&str>| {
        let module = module.map(|module| module.as_bytes().into());
        CacheFamily::Creator(Symbol { function: function.as_bytes().into(), offset: 0x10, module })
    };
    type Row = (SlabRecord, Option<Option<&'static str>>, CacheFamily);
    let table: [Row; 7] = [
        (create(1, "a1").by("make", Some("leaky")).at(1), Some(Some("leaky")), of("make", Some("leaky"))),
        (create(1, "a1").by("make", None).at(1), Some(None), of("make", None)),
        (create(1, "a1").module("leaky").at(1), Some(Some("leaky")), CacheFamily::Init(b"leaky"[..].into())),
        (create(1, "a1").at(1), None, family("a#")),
        (with_ctor(ctor(Some("ext4"))), Some(Some("ext4")), family("a")),
        (with_ctor(ctor(None)), Some(None), family("a")),
        (with_ctor(None), None, family("a")),
    ];
    for (record, module, family) in table {
        let row = format!("{record:?}");
        let book = book(true).records([record]);
        let module = module.map(|module| module.map(str::as_bytes));
        assert_eq!((only(&book).module(), CacheFamily::of(only(&book))), (module, family), "{row}");
    }
}

#[test]
fn sizes_and_references() {
    let sized = |mut fired: Fired, asked: u32, object: u32, size: u32| {
        let header = &mut fired.raw.header;
        (header.asked_size, header.object_size, header.size) = (asked, object, size);
        let known =
            [(asked, SlabField::ASKED_SIZE), (object, SlabField::OBJECT_SIZE), (size, SlabField::SIZE)];
        header.known |= known.iter().filter(|(size, _)| *size > 0).fold(0, |bits, (_, bit)| bits | bit);
        fired
    };
    let uncounted = |mut fired: Fired| {
        fired.raw.header.known &= !SlabField::REFCOUNT;
        fired
    };
    let facts = |book: &Book| {
        let cache = only(book);
        (cache.object_size, cache.size, cache.refs)
    };
    let book = book(true).records([sized(create(1, "a"), 100, 0, 0).at(1)]);
    assert_eq!(facts(&book), (Some(100), None, Some(1)));
    // A larger object than the first one is put into the same cache; that does not change what was asked for first.
    let book = book.records([sized(uncounted(alias(1, "a", "b", 0)), 60, 104, 128).at(2)]);
    assert_eq!(facts(&book), (Some(100), Some(128), Some(2)));
    let book = book.records([uncounted(destroy(1, "a", 0)).at(3)]);
    assert_eq!((facts(&book).2, only(&book).dropped_unnamed), (Some(1), 1));
    let book = book.records([destroy(1, "a", 1).at(4)]);
    assert_eq!((facts(&book).2, only(&book).state), (Some(0), SlabState::Destroying));
}

/// Since it was destroyed; of what was found destroyed that is not known.
#[test]
fn since_when_it_has_leaked() {
    let destroyed = book(true).records([create(1, "a").at(1), destroy(1, "a", 1).at(2)]).time(2 + GRACE_MS);
    let found = ListedCache { aliases: Some(-1), ..listed("a", "a", &[]) };
    let found = book(false).records([listing(1, &[]), listing(2, &[found])]);
    for (book, since_ns) in [(destroyed, Some(2 * MS)), (found, None)] {
        let cache = only(&book);
        assert_eq!((cache.leak, cache.since_ns), (Some(Leak::NotReleased), since_ns));
    }
}

#[test]
fn creations_that_fail_are_counted() {
    let failed = |name: &str| fired(SlabHook::Create).asked(name);
    book(true)
        .records([failed("a").at(1), failed("b").at(2)])
        .told(&["1 failed a", "2 failed b"])
        .totals(|totals| totals.failed = 2);
}

/// The names that threads dropped are kept apart until the module of each goes.
#[test]
fn each_module_drops_its_own_names() {
    let [one, two] = ["one", "two"].map(Some);
    let made = || {
        book(true).records([
            create(1, "first").by("init", one).at(1),
            alias(1, "first", "second", 2).by("init", two).at(2),
            alias(1, "first", "third", 3).by("init", two).at(3),
        ])
    };
    let held = |book: Book| -> Vec<String> {
        let asked = only(&book).asked.iter().filter(|asked| !asked.dropped);
        asked.map(|asked| asked.name.escape_ascii().to_string()).collect()
    };
    let dropped = |pid: u32, refs: i32| destroy(1, "first", refs).pid(pid).at(4);
    let of_two = made().records([dropped(6, 3), module_free("two", 6).at(5)]);
    assert_eq!(held(of_two), ["first", "third"]);
    let of_both = made().records([dropped(5, 3), dropped(6, 2), module_free("one", 5).at(5)]);
    assert_eq!(held(of_both), ["second", "third"]);
    let of_a_stranger = made().records([dropped(5, 3), module_free("one", 7).at(5)]);
    assert_eq!(held(of_a_stranger), ["first", "second", "third"]);
}

/// A list shows what came and went unseen; where hooks tell of ends, they know better of what is on its way out.
#[test]
fn what_a_list_lacks() {
    let left = ListedCache { aliases: Some(-1), ..listed("left", "left", &[]) };
    book(true)
        .records([create(1, "live").at(1), create(2, "going").at(2), destroy(2, "going", 1).at(3)])
        .records([create(3, "now").at(10), listing(10, &[])])
        .told(&[
            "1 created live",
            "2 created going",
            "3 destroying going",
            "10 created now",
            "10 released live",
        ])
        .totals(|totals| (totals.created, totals.live, totals.destroying, totals.released) = (3, 1, 1, 1));
    book(false).records([listing(1, &[]), listing(2, &[left]), listing(3, &[])]).told(&[
        "2 created left",
        "2 leaked left NotReleased",
        "3 released left late",
    ]);
}

/// Only between two lists without hooks is what is new in the second one known to be new.
#[test]
fn when_a_listed_cache_was_created() {
    let [old, new] = ["old", "new"].map(|name| listed(name, name, &[]));
    for (hooked, created_ns) in [(true, None), (false, Some(2 * MS))] {
        let book = book(hooked)
            .records([listing(1, std::slice::from_ref(&old)), listing(2, &[old.clone(), new.clone()])]);
        let created: Vec<_> = book.ledger.caches().map(|cache| (cache.created_ns, cache.since_ns)).collect();
        assert_eq!(created, [(None, None), (created_ns, created_ns)], "hooked: {hooked}");
    }
}

/// Each new link is a name that was given out, but for a cache's own.
#[test]
fn names_that_a_list_shows() {
    let lists = [
        listing(1, &[listed(":1", "a", &["a", "b"]), listed("plain", "plain", &[])]),
        listing(
            2,
            &[
                listed(":1", "a", &["a", "b", "c", "d"]),
                listed("plain", "plain", &[]),
                listed(":2", "x", &["x", "y"]),
                listed("bare", "bare", &[]),
            ],
        ),
    ];
    for (hooked, aliased) in [(true, 0), (false, 3)] {
        let [first, second] = lists.clone();
        let book = book(hooked).records([first]);
        assert_eq!(book.ledger.totals().aliased, 0);
        assert_eq!(book.records([second]).ledger.totals().aliased, aliased, "hooked: {hooked}");
    }
}

#[test]
fn references_that_a_list_shows() {
    let refs = |aliases| {
        let book = book(true).records([listing(1, &[ListedCache { aliases, ..listed("a", "a", &[]) }])]);
        only(&book).refs
    };
    assert_eq!([None, Some(0), Some(3)].map(refs), [None, Some(1), Some(4)]);
}
