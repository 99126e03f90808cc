//! `serve` with a real leak.

use std::process;

use crate::support::{
    cgroup::Cgroup, eventually, evict_stocks, exporter::Exporter, machine, pins::TmpfsFile,
};

const ARGUMENTS: [&str; 4] = ["--grace", "1s", "--refresh", "2s"];

#[test]
fn a_leak_shows_with_its_pin_and_stays_over_a_restart() {
    let _machine = machine();
    // Nobody else's, and without a number: those of units are left out of the names of workloads.
    let letters: String =
        process::id().to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    let unit = format!("memcg-trace-test-{letters}.service");
    let series = |metric: &str| {
        format!("memcg_trace_workload_{metric}{{namespace=\"\",workload=\"{unit}\",kind=\"unit\"}}")
    };
    let exporter = Exporter::start(&ARGUMENTS);
    let cgroup = Cgroup::below_root(&unit);
    let file = TmpfsFile::written_in(&cgroup);
    cgroup.remove();
    let is_leaked = |exporter: &Exporter| {
        eventually("the leak to show", || match exporter.value(&series("leaked_memcgs")) {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?} leaked")),
        });
    };
    // The references of many memcgs are read in turn.
    let is_pinned = |exporter: &Exporter| {
        eventually("what pins it to be known", || {
            let leak = exporter.leak(cgroup.path()).ok_or("no leak")?;
            let pin = &leak["memcg"]["pinned"]["by"][0]["pin"];
            let pinned = exporter.value("memcg_trace_pinned_memcgs{pin=\"tmpfs\"}");
            if pin == "tmpfs" && pinned >= Some(1.0) { Ok(()) } else { Err(leak.to_string()) }
        });
    };
    is_leaked(&exporter);
    assert_eq!(exporter.value(&series("created_total")), Some(1.0));
    assert_eq!(exporter.value(&series("leaks_total")), Some(1.0));
    let charged = exporter.value(&series("leaked_charged_bytes")).expect("a gauge");
    assert!(charged >= TmpfsFile::BYTES as f64, "{charged} bytes");
    is_pinned(&exporter);
    assert_eq!(exporter.stop(), Some(0));

    let exporter = Exporter::start(&ARGUMENTS);
    // At once: nobody waits for the grace time again.
    assert_eq!(exporter.value(&series("leaked_memcgs")), Some(1.0));
    assert_eq!(exporter.value(&series("leaks_total")), Some(0.0));
    is_pinned(&exporter);
    drop(file);
    eventually("the leak to go", || {
        evict_stocks();
        match exporter.value(&series("leaked_memcgs")) {
            Some(0.0) => Ok(()),
            other => Err(format!("{other:?} leaked")),
        }
    });
    assert_eq!(exporter.stop(), Some(0));
}
