//! The engine inside of another program: an observer that only counts, run from the live stream.

use std::thread;

use memcg_trace::{
    kernel::clock,
    session::{Session, Setup, Stop},
    source::Wanted,
    tracker::Totals,
};

use crate::support::{DEADLINE, cgroup::Cgroup, count::Count, machine};

const LIVES: u64 = 5;

#[test]
fn counts_while_it_happens() {
    let _machine = machine();
    // Before privileges are dropped: root itself may not write to the root of a hierarchy without them.
    let home = Cgroup::home("observer");
    let (count, totals) = thread::scope(|scope| {
        // A thread of its own: a session gives up the privileges of its thread.
        let session = scope.spawn(|| watch(&home));
        session.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert!(count.lives >= LIVES && count.online >= LIVES && count.ticks > 0, "{count:?}");
    assert!(totals.created >= count.online, "{count:?} {totals:?}");
    assert_eq!(totals.freed, count.freed + totals.reconciled_freed, "{count:?} {totals:?}");
}

/// Watches while cgroups come and go below `home`, until it has seen enough.
fn watch(home: &Cgroup) -> (Count, Totals) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let wanted = Wanted {
        backend: None,
        perf_pages: Some(64),
        walk: true,
        grace_ns: u64::MAX,
        clock: clock::offsets(),
    };
    let setup = Setup {
        wanted,
        btf: None,
        slab: false,
        by: None,
        record: None,
        flight: None,
        names: None,
        refresh: None,
    };
    let session = Session::start(setup).expect("what every command needs");
    let mut count = Count { enough: Some(LIVES), ..Count::default() };
    let stop = Stop::listen().expect("signals");
    let ended = thread::scope(|scope| {
        scope.spawn(|| (0..LIVES).for_each(|number| drop(home.child(number.to_string()))));
        runtime.block_on(session.run(stop, Some(DEADLINE), &mut count))
    });
    let totals = ended.expect("a run").book.tracker().totals().clone();
    (count, totals)
}
