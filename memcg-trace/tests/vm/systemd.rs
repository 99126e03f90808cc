//! A machine on which systemd makes the cgroups: its own units, and those that a runtime asks it for.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    expectations,
    support::{
        cri::{Cri, Pod},
        eventually,
        node::{Driver, IMAGE, Node},
        tracer::Tracer,
    },
};

#[test]
#[ignore = "needs a machine with systemd: cargo xtask test --filter systemd"]
fn systemd_makes_the_cgroups() {
    expectations::kernel();
    let node = Node::new();
    let mut tracer = Tracer::start(&["--grace", "1s", "--by", "unit", "--host-root", node.root()]);

    let service =
        ["--unit=memcg-trace-shop", "--slice=memcg-trace.slice", "--service-type=oneshot", "--wait"];
    let leaked =
        leak_of_unit(&mut tracer, &service, "/memcg.slice/memcg-trace.slice/memcg-trace-shop.service");
    let unit = json!({
        "unit": "memcg-trace-shop.service", "slice": "memcg-trace.slice", "user": null, "user_unit": null, "machine": null,
    });
    assert_eq!((&leaked["unit"], &leaked["container"]), (&unit, &Value::Null), "{leaked}");
    let scope = ["--scope", "--unit=memcg-trace-batch"];
    let leaked = leak_of_unit(&mut tracer, &scope, "/system.slice/memcg-trace-batch.scope");
    assert_eq!(
        (&leaked["unit"]["unit"], &leaked["unit"]["slice"]),
        (&json!("memcg-trace-batch.scope"), &json!("system.slice"))
    );

    let containerd = node.containerd(Driver::Systemd);
    let cri = Cri::connect(&containerd.socket());
    let uid = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";
    let slice = format!("kubepods-besteffort-pod{}.slice", uid.replace('-', "_"));
    let parent = format!("/kubepods.slice/kubepods-besteffort.slice/{slice}");
    let pod = Pod { name: "web-7d4b9c6f5d-x2xzz", namespace: "prod", uid, cgroup: &parent };
    let sandbox = cri.run_sandbox(&pod);
    let container = cri.run_container(&sandbox, &pod, "web", &node.script());
    let file = node.outlives().join("file");
    eventually("the container's file", || match fs::metadata(&file) {
        Ok(metadata) if metadata.len() == Node::FILE_BYTES => Ok(()),
        other => Err(format!("{other:?}")),
    });
    cri.remove_container(&container);
    cri.remove_sandbox(&sandbox);
    let scope = format!("cri-containerd-{container}.scope");
    let leaked = tracer.event("leaked", &format!("{parent}/{scope}"));
    let of = &leaked["container"];
    let facts = ["id", "pod_uid", "runtime", "driver", "qos", "role", "namespace", "pod", "name", "image"];
    let facts = facts.map(|fact| of[fact].as_str().unwrap_or_default());
    let expected =
        [&*container, uid, "containerd", "systemd", "besteffort", "workload", "prod", pod.name, "web", IMAGE];
    assert_eq!(facts, expected, "{leaked}");
    assert_eq!((&leaked["unit"]["unit"], &leaked["unit"]["slice"]), (&json!(scope), &json!(slice)));

    let outcome = tracer.stop();
    outcome.assert_conclusive();
    let units: Vec<_> = outcome.groups.iter().map(|group| &group["unit"]).collect();
    for unit in ["memcg-trace-shop.service", "memcg-trace-batch.scope", "cri-containerd-*.scope"] {
        assert!(units.contains(&&json!(unit)), "{unit} is none of {units:?}");
    }
}

/// Runs a unit that leaves a file on a tmpfs behind, and waits until its memcg leaked.
fn leak_of_unit(tracer: &mut Tracer, options: &[&str], path: &str) -> Value {
    let file = Path::new("/dev/shm").join(path.rsplit('/').next().expect("a name"));
    let mut run = Command::new("systemd-run");
    run.args(["--quiet", "--collect"]).args(options).args(["dd", "if=/dev/zero", "bs=65536", "count=16"]);
    let output = run.arg(format!("of={}", file.display())).output().expect("run systemd-run");
    assert!(output.status.success(), "{run:?}: {}", String::from_utf8_lossy(&output.stderr));
    let leaked = tracer.event("leaked", path);
    fs::remove_file(file).expect("remove the file");
    leaked
}
