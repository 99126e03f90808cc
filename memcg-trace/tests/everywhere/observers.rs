//! The engine inside of another program: an observer that only counts, run from the live stream.

use std::{sync::mpsc::channel, thread, time::Duration};

use memcg_trace::{
    kernel::clock,
    session::{Session, Setup, Stop},
    source::Wanted,
};

use crate::support::{cgroup::Cgroup, count::Count, machine};

const LIVES: u64 = 5;

#[test]
fn counts_while_it_happens() {
    let _machine = machine();
    // Threads of their own: a session gives up the privileges of its thread, and of those that it starts.
    let (started, start) = channel();
    let lives = thread::spawn(move || {
        start.recv().expect("a session");
        let home = Cgroup::home("observer");
        (0..LIVES).for_each(|number| drop(home.child(number.to_string())));
    });
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let wanted = Wanted {
                backend: None,
                perf_pages: Some(64),
                walk: true,
                grace_ns: u64::MAX,
                clock: clock::offsets(),
            };
            let setup = Setup { wanted, btf: None, slab: false, by: None, record: None, names: None };
            let session = Session::start(setup).expect("what every command needs");
            started.send(()).expect("a thread that waits");
            let mut count = Count { enough: Some(LIVES), ..Count::default() };
            let stop = Stop::listen().expect("signals");
            // It ends when it has seen enough.
            let ended = session.run(stop, Some(Duration::from_secs(120)), &mut count).await;
            (count, ended.expect("a run").book.tracker().totals().clone())
        })
    });
    let (count, totals) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    lives.join().expect("cgroups that come and go");
    assert!(count.freed >= LIVES && count.online >= LIVES && count.ticks > 0, "{count:?}");
    assert!(totals.created >= count.online, "{count:?} {totals:?}");
    assert_eq!(totals.freed, count.freed + totals.reconciled_freed, "{count:?} {totals:?}");
}
