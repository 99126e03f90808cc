//! All 65,535 memcg IDs in use.

use std::{fs, io};

use nix::errno::Errno;

use crate::{
    expectations::kernel,
    support::{cgroup::Cgroup, tracer::Tracer},
    vm,
};

const IDS: u64 = 65_535;

#[test]
fn exhaustion_of_ids() {
    let _machine = vm();
    let expected = kernel().exhausted;
    let home = Cgroup::home("exhaustion");
    let mut tracer = Tracer::start(&["--events", "alloc_failed,lost,missed"]);
    let error = (0..=IDS)
        .map(|number| fs::create_dir(home.directory().join(number.to_string())))
        .find_map(io::Result::err)
        .expect("mkdir fails before there are as many cgroups as memcg IDs");
    assert_eq!(error.raw_os_error(), Some(expected as i32), "mkdir: {error}");

    let failed = tracer.event_where("alloc_failed", |event| event["event"] == "alloc_failed");
    assert_eq!(failed["errno"], expected as i32, "{failed}");
    assert_eq!(failed["error"], format!("{expected:?}"), "{failed}");
    assert_eq!(failed["ids_exhausted"], true, "{failed}");
    assert_eq!(failed["parent"]["path"], home.path(), "{failed}");

    let outcome = tracer.stop();
    outcome.assert_conclusive();
    let counts = ["alloc_failed", "ids_used", "ids_limit"].map(|name| outcome.count(name));
    assert_eq!(counts, [1, IDS, IDS], "{}", outcome.summary);
    assert_ne!(expected, Errno::ENOMEM, "what older kernels say can also mean a lack of memory");
}
