//! Names that have to be found in time: of containers that live for a moment, and beside a tenant who asks for too much.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{cgroup::Cgroup, machine, node::Driver, node::Node, tracer::Tracer};

/// More take longer, and show no more.
const CONTAINERS: usize = 20;
/// Environment variable for their number: more for acceptance tests.
const NUMBER: &str = "MEMCG_TRACE_CONTAINERS";

/// Runs containers one after the other, and gives those that are not known by name when they go.
fn unnamed_of(tracer: &mut Tracer, parent: &str, run: impl Fn(&str)) -> Vec<String> {
    let number = std::env::var(NUMBER).map_or(CONTAINERS, |number| number.parse().expect(NUMBER));
    let names = || (0..number).map(|number| format!("late-{}-{number}", process::id()));
    names().for_each(|name| run(&name));
    names()
        .filter(|name| {
            let offline = tracer.event("offline", &format!("{parent}/{name}"));
            offline["container"]["name"] != json!(name)
        })
        .collect()
}

#[test]
fn containers_that_live_for_a_moment_have_names() {
    let _machine = machine();
    let node = Node::new();
    let parent = format!("/memcg-trace-test-{}", process::id());
    let (of_runc, of_ctr) = (format!("{parent}/runc"), "/default".to_owned());
    node.cgroups(&[&format!("{of_runc}/x"), "/default/x"]);
    let containerd = node.containerd(Driver::Cgroupfs);
    let mut tracer = Tracer::start(&["--host-root", node.root()]);
    let unnamed =
        unnamed_of(&mut tracer, &of_runc, |name| node.run_runc_shortly(name, &format!("{of_runc}/{name}")));
    assert_eq!(unnamed, [""; 0], "containers of runc");
    let unnamed = unnamed_of(&mut tracer, &of_ctr, |name| containerd.run_shortly(name));
    assert_eq!(unnamed, [""; 0], "containers of containerd");
    tracer.stop();
}

/// A docker that has these containers, in a directory.
struct Docker(PathBuf);

impl Docker {
    fn new(ids: &[String]) -> Self {
        let docker = Self(PathBuf::from(format!("/dev/shm/memcg-trace-late-{}", process::id())));
        for (number, id) in ids.iter().enumerate() {
            let directory = docker.0.join("var/lib/docker/containers").join(id);
            fs::create_dir_all(&directory).expect("make a directory of docker's");
            let config = json!({"Name": format!("/web-{number}"), "Config": {"Image": "nginx:1"}});
            fs::write(directory.join("config.v2.json"), config.to_string()).expect("write a configuration");
        }
        docker
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_tenants_churn_does_not_take_the_names_of_others() {
    let _machine = machine();
    let ids: Vec<String> =
        (0..CONTAINERS).map(|number| format!("{:064x}", 0x6c61_7465_0000 + number)).collect();
    let docker = Docker::new(&ids);
    let (tenant, others) = (Cgroup::home("tenant"), Cgroup::home("others"));
    // The lines of the tenant are not of interest here.
    let lines = format!("{}/*", others.path());
    let root = docker.0.to_str().expect("a path in ASCII");
    let mut tracer = Tracer::start(&["--host-root", root, "--cgroup", &lines]);
    let mut nested = Vec::new();
    for level in 0..30 {
        let above = nested.last().unwrap_or(&tenant);
        nested.push(above.child(OsStr::from_bytes(format!("{level:064x}").as_bytes())));
    }
    let stop = AtomicBool::new(false);
    let unnamed = thread::scope(|scope| {
        let deepest = nested.last().expect("thirty levels");
        scope.spawn(|| {
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                deepest
                    .child(OsStr::from_bytes(format!("{:064x}", u128::from(number) << 40).as_bytes()))
                    .remove();
            }
        });
        // Until it has a lead.
        thread::sleep(Duration::from_secs(2));
        let containers: Vec<Cgroup> =
            ids.iter().map(|id| others.child(OsStr::from_bytes(id.as_bytes()))).collect();
        thread::sleep(Duration::from_secs(1));
        let paths: Vec<String> = containers.iter().map(|container| container.path().to_owned()).collect();
        containers.iter().for_each(Cgroup::remove);
        let unnamed: Vec<Value> = paths
            .iter()
            .map(|path| tracer.event("offline", path)["container"].clone())
            .filter(|container| container["image"] != "nginx:1")
            .collect();
        stop.store(true, Ordering::Relaxed);
        unnamed
    });
    assert!(unnamed.is_empty(), "{} of {CONTAINERS}: {:?}", unnamed.len(), unnamed.first());
    while let Some(cgroup) = nested.pop() {
        cgroup.remove();
    }
    tracer.stop();
}
