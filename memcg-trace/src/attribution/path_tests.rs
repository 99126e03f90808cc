use super::super::{Container, Driver, Qos, Role, Runtime};
use super::container_of_path;
use Driver::{Cgroupfs, Systemd};
use Qos::{BestEffort, Burstable, Guaranteed};
use Runtime::{BuildKit, Containerd, CriO, Docker, Kata, Lxc, Nomad, Podman};
use proptest::prelude::*;

/// A container id as a runtime makes one, and another.
const ID: &str = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
const IN: &str = "b2c7024b6f16aa00bb11cc22dd33ee44ff5566778899aabbccddeeff00112233";
const UID: &str = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
const UID_: &str = "6a4ce4a0_ba47_11ea_b2a7_0cc47ac5979e";
const MD5: &str = "9729a196c4723b60ab401eaff722982d";

type Expected<'a> = (Option<&'a str>, Option<&'a str>, Option<Runtime>, Option<Driver>, Option<Qos>);

/// Reads a path in which ID, IN, UID, UID_ and MD5 are written as `{name}`.
fn read(path: &str) -> Option<Container> {
    let path = path.replace("{id}", ID).replace("{in}", IN).replace("{uid}", UID).replace("{uid_}", UID_);
    container_of_path(path.replace("{md5}", MD5).as_bytes())
}

fn facts(container: &Container) -> Expected<'_> {
    let Container { id, pod_uid, runtime, driver, qos, .. } = container;
    (id.as_deref(), pod_uid.as_deref(), *runtime, *driver, *qos)
}

fn expect(path: &str, facts_expected: Expected<'_>) {
    let container = read(path);
    assert_eq!(container.as_ref().map(facts), Some(facts_expected), "{path}");
}

#[test]
fn kubernetes() {
    let table: &[(&str, Expected<'_>)] = &[
        ("/kubepods/burstable/pod{uid}/{id}", (Some(ID), Some(UID), None, Some(Cgroupfs), Some(Burstable))),
        ("/kubepods/besteffort/pod{uid}", (None, Some(UID), None, Some(Cgroupfs), Some(BestEffort))),
        ("/kubepods/pod{uid}/{id}", (Some(ID), Some(UID), None, Some(Cgroupfs), Some(Guaranteed))),
        ("/kubepods/burstable/pod{md5}/{id}", (Some(ID), Some(MD5), None, Some(Cgroupfs), Some(Burstable))),
        ("/kubepods/pod{uid}/crio-{id}", (Some(ID), Some(UID), Some(CriO), Some(Cgroupfs), Some(Guaranteed))),
        ("/other/root/kubepods/pod{uid}", (None, Some(UID), None, Some(Cgroupfs), Some(Guaranteed))),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid_}.slice/docker-{id}.scope",
            (Some(ID), Some(UID), Some(Docker), Some(Systemd), Some(BestEffort)),
        ),
        (
            "/kubepods.slice/kubepods-pod{uid_}.slice/cri-containerd-{id}.scope",
            (Some(ID), Some(UID), Some(Containerd), Some(Systemd), Some(Guaranteed)),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{md5}.slice/cri-containerd-{id}",
            (Some(ID), Some(MD5), Some(Containerd), Some(Systemd), Some(Burstable)),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid_}.slice/crio-{id}.scope",
            (Some(ID), Some(UID), Some(CriO), Some(Systemd), Some(Burstable)),
        ),
        (
            "/BestEffort.slice/BestEffort-pod_{uid_}.slice",
            (None, Some(UID), None, Some(Systemd), Some(BestEffort)),
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-pod{uid_}.slice:cri-containerd:{id}",
            (Some(ID), Some(UID), Some(Containerd), Some(Systemd), Some(Burstable)),
        ),
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
             kubelet-kubepods-burstable-pod{uid_}.slice/cri-containerd-{id}.scope",
            (Some(ID), Some(UID), Some(Containerd), Some(Systemd), Some(Burstable)),
        ),
    ];
    for (path, facts) in table {
        expect(path, *facts);
    }
}

#[test]
fn without_kubernetes() {
    let table: &[(&str, Expected<'_>)] = &[
        ("/docker/{id}", (Some(ID), None, Some(Docker), Some(Cgroupfs), None)),
        ("/system.slice/docker-{id}.scope", (Some(ID), None, Some(Docker), Some(Systemd), None)),
        ("/../../../../system.slice/docker-{id}.scope", (Some(ID), None, Some(Docker), Some(Systemd), None)),
        ("/{id}", (Some(ID), None, None, Some(Cgroupfs), None)),
        ("/k8s.io/{id}", (Some(ID), None, None, Some(Cgroupfs), None)),
        ("/libpod_parent/libpod-{id}", (Some(ID), None, Some(Podman), Some(Cgroupfs), None)),
        ("/machine.slice/libpod-{id}.scope/container", (Some(ID), None, Some(Podman), Some(Systemd), None)),
        (
            "/user.slice/user-1000.slice/user@1000.service/redis.service/{id}",
            (Some(ID), None, None, Some(Cgroupfs), None),
        ),
        (
            "/system.slice/redis.service/libpod-payload-{id}",
            (Some(ID), None, Some(Podman), Some(Cgroupfs), None),
        ),
        (
            "/docker/buildkit/vy53ljgivqn5q9axwrx1mf40l",
            (Some("vy53ljgivqn5q9axwrx1mf40l"), None, Some(BuildKit), Some(Cgroupfs), None),
        ),
        ("/lxc/mysql-primary-db", (Some("mysql-primary-db"), None, Some(Lxc), Some(Cgroupfs), None)),
        (
            "/lxc.payload.first/system.slice/systemd-logind.service",
            (Some("first"), None, Some(Lxc), Some(Cgroupfs), None),
        ),
        ("/lxc.payload/first", (Some("first"), None, Some(Lxc), Some(Cgroupfs), None)),
        ("/lxc/103/ns/system.slice/cron.service", (Some("103"), None, Some(Lxc), Some(Cgroupfs), None)),
        (
            "/user.slice/user-1000.slice/session-3.scope/lxc.payload.own",
            (Some("own"), None, Some(Lxc), Some(Cgroupfs), None),
        ),
        (
            "/system.slice/docker-vy53ljgivqn5q9axwrx1mf40l.scope",
            (Some("vy53ljgivqn5q9axwrx1mf40l"), None, Some(BuildKit), Some(Systemd), None),
        ),
        ("/nomad.slice/share.slice/{uid}.web.scope", (Some(UID), None, Some(Nomad), Some(Systemd), None)),
        ("/nomad.slice/{uid}.web.scope", (Some(UID), None, Some(Nomad), Some(Systemd), None)),
        ("/nomad/reserve/{uid}.web-2", (Some(UID), None, Some(Nomad), Some(Cgroupfs), None)),
    ];
    for (path, facts) in table {
        expect(path, *facts);
    }
}

#[test]
fn the_innermost_wins() {
    let minikube = "/system.slice/docker-{id}.scope/kubepods.slice/kubepods-burstable.slice/\
                    kubepods-burstable-pod{uid_}.slice";
    expect(minikube, (None, Some(UID), None, Some(Systemd), Some(Burstable)));
    let inner = format!("{minikube}/docker-{{in}}.scope/init.scope");
    expect(&inner, (Some(IN), Some(UID), Some(Docker), Some(Systemd), Some(Burstable)));
    let in_pod = "/kubepods/burstable/pod{uid}/{id}/docker/{in}";
    expect(in_pod, (Some(IN), Some(UID), Some(Docker), Some(Cgroupfs), Some(Burstable)));
    expect("/docker/{id}/lxc/a/lxc/b", (Some("b"), None, Some(Lxc), Some(Cgroupfs), None));
}

/// Ids and roles from the inside out.
fn nesting(path: &str) -> Vec<(Option<String>, Option<Role>)> {
    let container = read(path).unwrap_or_else(|| panic!("{path}"));
    container.and_outer().map(|container| (container.id.clone(), container.role)).collect()
}

#[test]
fn a_container_in_a_container_knows_the_outer_one() {
    let (id, inner) = (Some(ID.to_owned()), Some(IN.to_owned()));
    let minikube = "/system.slice/docker-{id}.scope/kubepods.slice/kubepods-pod{uid_}.slice";
    assert_eq!(nesting(minikube), [(None, None), (id.clone(), None)]);
    let in_minikube = format!("{minikube}/docker-{{in}}.scope/init.scope");
    assert_eq!(nesting(&in_minikube), [(inner.clone(), None), (id.clone(), None)]);
    assert_eq!(nesting("/docker/{id}/docker/{in}"), [(inner, None), (id.clone(), None)]);
    let in_proxmox = "/lxc/103/ns/system.slice/docker-{id}.scope";
    assert_eq!(nesting(in_proxmox), [(id.clone(), None), (Some("103".to_owned()), None)]);
    let in_lxc = "/lxc/103/ns/lxc.payload.inner";
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(nesting(in_lxc), [(name("inner"), None), (name("103"), None)]);
    assert_eq!(read(in_lxc).and_then(|container| container.name), name("inner"));
    assert_eq!(nesting("/kubepods/pod{uid}/{id}"), [(id, None)], "a pod is not a container");
}

#[test]
fn a_monitor_is_not_the_workload() {
    let monitors: &[(&str, Expected<'_>)] = &[
        ("/machine.slice/libpod-conmon-{id}.scope", (None, None, Some(Podman), None, None)),
        ("/libpod_parent/conmon", (None, None, Some(Podman), None, None)),
        ("/lxc.monitor.hermes/system.slice/postfix.service", (None, None, Some(Lxc), None, None)),
        (
            "/kubepods.slice/kubepods-pod{uid_}.slice/crio-conmon-{id}.scope",
            (None, Some(UID), Some(CriO), Some(Systemd), Some(Guaranteed)),
        ),
        (
            "/kubepods/burstable/pod{uid}/crio-conmon-{id}",
            (None, Some(UID), Some(CriO), Some(Cgroupfs), Some(Burstable)),
        ),
    ];
    for (path, facts) in monitors {
        expect(path, *facts);
        assert_eq!(read(path).and_then(|container| container.role), Some(Role::Monitor), "{path}");
    }
    let of = [
        ("/machine.slice/libpod-conmon-{id}.scope", Some(ID)),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-{id}.scope", Some(ID)),
        ("/kubepods/burstable/pod{uid}/crio-conmon-{id}", Some(ID)),
        ("/lxc.monitor/101", Some("101")),
        ("/lxc.monitor.hermes", Some("hermes")),
        ("/libpod_parent/conmon", None),
    ];
    for (path, id) in of {
        assert_eq!(read(path).and_then(|container| container.of_id).as_deref(), id, "{path}");
    }
    let in_docker = "/docker/{id}/machine.slice/libpod-conmon-{in}.scope";
    assert_eq!(nesting(in_docker), [(None, Some(Role::Monitor)), (Some(ID.to_owned()), None)]);
}

#[test]
fn kata_has_a_sandbox_and_its_overhead() {
    let path = "/kubepods/besteffort/pod{uid}/kata_{id}";
    expect(path, (Some(ID), Some(UID), Some(Kata), Some(Cgroupfs), Some(BestEffort)));
    assert_eq!(read(path).and_then(|container| container.role), Some(Role::Sandbox));
    let in_docker = "/docker/{id}/kata_{in}";
    assert_eq!(nesting(in_docker), [(Some(IN.to_owned()), Some(Role::Sandbox)), (Some(ID.to_owned()), None)]);
    for path in ["/kata_overhead/{id}", "/kata.slice/kata-overhead.slice/runtime-rs-{id}.scope"] {
        let overhead = read(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(
            (facts(&overhead), overhead.role),
            ((None, None, Some(Kata), None, None), Some(Role::Overhead))
        );
        assert_eq!(overhead.title().as_deref(), Some("overhead of 17db96a24ae1"));
        assert_eq!(overhead.of_id.as_deref(), Some(ID));
    }
}

#[test]
fn unknown_stays_unknown() {
    for path in [
        "",
        "/",
        "/kubepods",
        "/kubepods/burstable",
        "/kubepods/podX/a",
        "/kubepods/pod17db96a24ae1",
        "/kubepods/pod9729a196c4723b60ab401eaff722982x",
        "/podruntime/runtime",
        "/podruntime/kubelet",
        "/system/dashboard",
        "/init",
        "/docker",
        "/docker/buildkit",
        "/containerd-namespace/redis-server-id",
        "/machine.slice/machine-17db96.scope/payload/",
        "/user.slice/user-1000.slice/user@1000.service/machine.slice/android-build.scope",
        "/nomad/task",
        "/nomad/reserve/task",
        "/system.slice/garden.service/garden/6f265890-5165-7fab-6b52-18d1",
        "/system.slice/system-postgresql.slice/postgresql@9.4-main.service",
        "/system.slice/system-serial\\x2dgetty.slice",
        "/_cpu.service",
        "/user/1000.user/c2.session",
        "/user.slice/lxc/name",
        "/system.slice/{id}.service",
        "/system.slice/var-lib-docker-containers-{id}-mounts-shm.mount",
        "/a{id}",
        "/libpod_parent/{id}",
        "/machine.slice/machine-libpod_pod_{id}.slice",
        "/user.slice/lxc.monitor.a",
        "/docker-{id}0.scope",
        "/kata_overhead",
        "/kata_overhead/name",
        "/kata_{id}0",
        "/lxc.monitor",
        "/lxc.payload..",
        "/lxc.payload...",
        "/lxc.monitor...",
        "/nomad.slice/share.slice",
        "/nomad.slice/share.slice/{uid}.scope",
        "/somewhere.slice/{uid}.web.scope",
        "/system.slice/docker-VY53LJGIVQN5Q9AXWRX1MF40L.scope",
        "/somebody-{id}.scope",
    ] {
        assert_eq!(read(path), None, "{path}");
    }
}

/// Bytes like those of cgroup paths, with wreckage in between.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"/".to_vec()),
        Just(b"docker-".to_vec()),
        Just(b"kubepods/burstable/pod".to_vec()),
        Just(UID.as_bytes().to_vec()),
        Just(ID.as_bytes().to_vec()),
        Just(b".scope".to_vec()),
        Just(b".slice".to_vec()),
        Just(b"lxc".to_vec()),
        Just(b"/libpod-conmon-".to_vec()),
        Just(b"/lxc.monitor/".to_vec()),
        Just(b"/kata_overhead/".to_vec()),
        Just(b"/nomad.slice/".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    /// An id is always a whole word of the path: never cut out of a longer one, never made up.
    #[test]
    fn an_id_stands_in_the_path(path in path()) {
        if let Some(Container { id: Some(id), .. }) = container_of_path(&path) {
            let id = id.as_bytes();
            let alone = path.windows(id.len()).enumerate().any(|(at, window)| {
                let before = at.checked_sub(1).and_then(|at| path.get(at));
                let after = path.get(at + id.len());
                window == id && [before, after].into_iter().flatten().all(|byte| !byte.is_ascii_alphanumeric())
            });
            prop_assert!(alone, "{:?} in {:?}", id, path);
        }
    }

    /// Whatever a path says, it says of each container once, and of a monitor no id.
    #[test]
    fn nesting_is_sound(path in path()) {
        for container in container_of_path(&path).iter().flat_map(Container::and_outer) {
            prop_assert!(!container.is_beside() || container.id.is_none());
            prop_assert!(container.is_beside() || container.of_id.is_none());
            prop_assert!(container.outer.as_ref().is_none_or(|outer| outer.id.is_some()));
        }
    }

    #[test]
    fn any_bytes(path in proptest::collection::vec(any::<u8>(), 0..300)) {
        container_of_path(&path);
    }
}
