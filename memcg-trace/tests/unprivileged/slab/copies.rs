//! Copies of caches for each memcg, as up to 5.8: what no kernel here has.

use super::*;

/// Of the 4.19 kind: each memcg has a copy of each cache that it uses. Memcgs go, some of their copies stay.
#[test]
fn copies_of_memcgs() {
    const MEMCGS: u64 = 4;
    const ROOTS: [(u64, &str); 3] = [(1, "dentry"), (2, "sighand_cache"), (3, "proc_inode_cache")];
    let address = |memcg: u64, root: u64| 100 * memcg + root;
    let mut records: Vec<_> = ROOTS.iter().map(|&(root, name)| create(root, name).at(root)).collect();
    for memcg in 1..=MEMCGS {
        for (root, name) in ROOTS {
            let name = format!("{name}({memcg}:pod{memcg})");
            records.push(memcg_copy(address(memcg, root), &name, memcg, root).at(10 * memcg));
        }
    }
    let mut book = book(true).records(records);
    assert_eq!(book.ledger.totals().live, 3 + MEMCGS * 3);
    // Memcg 1 lives. 2 goes with all of its copies, 3 leaves one behind, 4 all three.
    for memcg in 2..=MEMCGS {
        book = book.records([offline(memcg).at(100)]);
        let freed = ROOTS.iter().take([3, 2, 0][memcg as usize - 2]);
        book = book.records(freed.map(|&(root, name)| release(address(memcg, root), name).at(150)));
    }
    book = book.time(100 + GRACE_MS - 1);
    assert_eq!(book.ledger.totals().leaked, 0);
    book = book.time(100 + GRACE_MS);
    let leaked = |book: &Book| -> Vec<(u64, String, String)> {
        let fact = |cache: &memcg_trace::slab::Cache| {
            assert_eq!(cache.leak, Some(Leak::MemcgDead));
            assert_eq!(cache.since_ns, Some(100 * MS), "since the memcg went");
            let root = book.ledger.get(cache.root.unwrap()).unwrap();
            let (css, serial) = cache.memcg.unwrap();
            assert_eq!(css, 0x1000 * serial.unwrap());
            let text = |name: &[u8]| name.escape_ascii().to_string();
            (serial.unwrap(), text(&root.name), text(&stem(&cache.name)))
        };
        book.ledger.leaked().map(fact).collect()
    };
    let of = |memcg, name: &str| (memcg, name.to_owned(), name.to_owned());
    let expected =
        [of(3, "proc_inode_cache"), of(4, "dentry"), of(4, "sighand_cache"), of(4, "proc_inode_cache")];
    assert_eq!(leaked(&book), expected);
    // The last objects are freed: they were late.
    book = book.records([release(address(4, 1), "dentry").at(20_000)]);
    assert_eq!(leaked(&book), [expected[0].clone(), expected[2].clone(), expected[3].clone()]);
    assert_eq!((book.ledger.totals().late, book.ledger.totals().leaked), (1, 3));
    // A memcg that gets the address of a dead one is another one.
    let same_address = memcg_copy(900, "dentry(9:new)", 9, 1);
    let mut reused = same_address.clone();
    reused.raw.header.memcg = 0x1000 * 4;
    let book = book.records([reused.at(21_000)]).time(60_000);
    assert_eq!(book.ledger.totals().leaked, 3);
}

/// Copies are counted by whose their memcgs are; caches that are nobody's, and memcgs of which nothing is known, are one group.
#[test]
fn copies_by_owner() {
    let copies = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
    let copies = copies.map(|(memcg, name)| memcg_copy(100 + memcg, name, memcg, 1).at(10));
    let book = book(true).records([create(1, "dentry").at(1)]).records(copies);
    let owner = |serial: u64, path: &str, container: Option<Container>| {
        (Key { css: 0x1000 * serial, serial }, (Box::from(path.as_bytes()), container))
    };
    let job = |pod: &str| Container {
        pod: Some(format!("{pod}-x7kzq")),
        namespace: Some("prod".to_owned()),
        image: Some("backup:1".to_owned()),
        ..container_of_path(format!("/docker/{}", "5e1f".repeat(16)).as_bytes()).unwrap()
    };
    let run = SlabRun {
        owners: [
            owner(1, "/first", Some(job("backup-28374650"))),
            owner(2, "/second", Some(job("backup-28374651"))),
            owner(3, "/system.slice/run-r17.scope", None),
        ]
        .into(),
        ..run()
    };
    let groups = |by| {
        let view = SlabView::new(&run, &book.ledger, SlabRequest { leaked: false, by: Some(by), top: None });
        let groups = view.groups.unwrap().into_iter().map(|group| (group.of, group.caches));
        groups.collect::<BTreeMap<_, _>>()
    };
    let expected = |of: &[(Option<&str>, u64)]| {
        of.iter().map(|(of, caches)| (of.map(str::to_owned), *caches)).collect::<BTreeMap<_, _>>()
    };
    let unit = "run-r*.scope";
    assert_eq!(groups(SlabBy::Workload), expected(&[(Some("prod/backup"), 2), (Some(unit), 1), (None, 2)]));
    assert_eq!(groups(SlabBy::Namespace), expected(&[(Some("prod"), 2), (None, 3)]));
    assert_eq!(groups(SlabBy::Image), expected(&[(Some("backup:1"), 2), (None, 3)]));
    assert_eq!(groups(SlabBy::Runtime), expected(&[(Some("docker"), 2), (None, 3)]));
    assert_eq!(groups(SlabBy::Unit), expected(&[(Some(unit), 1), (None, 4)]));
}

/// What the kernel's own list of them says of memcgs that are dying. Where nothing is hooked there is no time to wait for.
#[test]
fn copies_of_dying_memcgs() {
    let copies = ["dentry(0:a)", "dentry(1:b)"].map(|name| listed(name, name, &[]));
    let dead = |ms: u64| {
        SlabRecord::Learned(CacheCopies {
            t_ns: ms * MS,
            hold: true,
            of: vec![(Key { css: 0x2000, serial: 0 }, vec![Box::from(&b"dentry(1:b)"[..])])],
        })
    };
    let told = ["2 leaked dentry(1:b) MemcgDead"];
    let listed = book(false).records([listing(1, &copies), dead(2)]).told(&told);
    let memcg = listed.ledger.leaked().next().and_then(|cache| cache.memcg);
    assert_eq!(memcg, Some((0x2000, None)));
    let hooked = book(true).records([listing(1, &copies), dead(2)]).time(GRACE_MS + 1);
    assert_eq!(hooked.ledger.totals().leaked, 0);
    assert_eq!(hooked.records([dead(GRACE_MS + 1)]).time(GRACE_MS + 2).ledger.totals().leaked, 1);
}

/// Where hooks do not tell when a memcg died, its caches are read at the end, long after a walk saw it dying.
#[test]
fn copies_of_memcgs_that_died_meanwhile() {
    let key = Key { css: 0x2000, serial: 0 };
    let copies = [listed("dentry(1:b)", "dentry(1:b)", &[])];
    let end = GRACE_MS + 10;
    let read = SlabRecord::Learned(CacheCopies {
        t_ns: end * MS,
        hold: true,
        of: vec![(key, vec![Box::from(&b"dentry(1:b)"[..])])],
    });
    // Seen dying, and how many leak by the end; a memcg that was not dying in between is another one.
    let table: [(&[(u64, bool)], u64); 4] = [
        (&[(5, true), (9, true)], 1),
        (&[(5, true), (7, false), (end - 1, true)], 0),
        (&[(end - 1, true)], 0),
        (&[], 0),
    ];
    for (walks, leaked) in table {
        let mut book = book(true).records([listing(1, &copies)]);
        for (ms, dying) in walks {
            let seen: &[Key] = if *dying { std::slice::from_ref(&key) } else { &[] };
            book.ledger.dying(seen, ms * MS);
        }
        let book = book.records([read.clone()]).time(end);
        assert_eq!(book.ledger.totals().leaked, leaked, "{walks:?}");
    }
}
