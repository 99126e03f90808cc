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
    pins::{PAGE, TmpfsFile, memory_pins},
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

/// Two ways to the same folios, and no more of them than there are references.
#[test]
fn the_map_of_all_pages_has_what_the_lists_have() {
    let _machine = machine();
    let home = Cgroup::home("explain-map");
    let (listed, locked) = (home.child("listed"), home.child("locked"));
    let _file = TmpfsFile::written_in(&listed);
    let task = Forked::new(Some(&locked), || {
        // SAFETY: the call takes no pointers.
        assert_eq!(unsafe { libc::mlockall(libc::MCL_CURRENT) }, 0, "mlockall");
    });
    let _task = task.move_to_root();
    listed.remove();
    locked.remove();
    if !memory_pins() {
        return assert!(Explain::of(&home).pins.iter().all(|part| part["folios"].is_null()));
    }
    eventually("the map and the lists to agree", || {
        evict_stocks();
        let explain = Explain::run(&["--scan-memory", "always", home.path()]);
        let map = &explain.summary["map"];
        let of_map = ["on_lists", "on_no_list"].map(|key| map[key].as_u64().unwrap_or(0));
        let of_folios: u64 = explain.pins.iter().filter(|part| !part["folios"].is_null()).map(refs).sum();
        let agree = map["gone"] == 0 && of_map[0] + of_map[1] == of_folios && of_map[0] >= 256;
        if agree { Ok(()) } else { Err(format!("{:#?}", explain.summary)) }
    });
    assert_eq!(Explain::run(&["--scan-memory", "never", home.path()]).summary["map"], Value::Null);
}
