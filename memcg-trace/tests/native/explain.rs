//! `explain` on what lives in namespaces of others.

use std::process::Command;

use memcg_trace::scenarios::stage::SharedSegment;
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use crate::support::{
    cgroup::Cgroup,
    eventually, evict_stocks,
    explain::{Explain, refs},
    forked::Forked,
    machine,
    pins::{PAGE, memory_pins},
};

const PAGES: u64 = 16;

/// An ID is another segment's here, or nobody's.
#[test]
fn a_segment_is_removed_in_its_ipc_namespace() {
    let _machine = machine();
    let home = Cgroup::home("explain-ipc");
    let cgroup = home.child("segment");
    let id = cgroup.id();
    let task = Forked::new(Some(&cgroup), || {
        unshare(CloneFlags::CLONE_NEWIPC).expect("an IPC namespace");
        let segment = SharedSegment::new((PAGES * PAGE) as usize).expect("a segment");
        segment.fill().expect("write to the segment");
        std::mem::forget(segment);
    });
    let task = task.move_to_root();
    cgroup.remove();
    let segment = |explain: &Explain| -> Option<Value> {
        let pins = explain.of_cgroup(id);
        pins.into_iter().find(|part| part["pin"] == "sysv_shm").cloned()
    };
    if !memory_pins() {
        return assert!(segment(&Explain::of(&home)).is_none(), "it pins a memcg");
    }
    let mut found = Value::Null;
    eventually("the segment to be named", || {
        evict_stocks();
        let explain = Explain::of(&home);
        found = segment(&explain).ok_or_else(|| format!("{:#?}", explain.pins))?;
        Ok(())
    });
    assert_eq!(refs(&found), PAGES, "{found:#}");
    let act = format!("nsenter --ipc=/proc/{}/ns/ipc ipcrm -m {}", task.pid(), found["inode"]);
    assert_eq!(found["act"], act, "{found:#}");
    let done = Command::new("sh").args(["-c", &act]).output().expect("run what was printed");
    assert!(done.status.success(), "{done:?}");
    assert!(segment(&Explain::of(&home)).is_none(), "it is still there");
}
