//! The workload that a pod, container or unit belongs to.

use std::fmt;

use serde::Serialize;

use super::{Container, Role, Runtime, Unit, family, unit_family};

/// Something that repeatedly creates containers or units: a Deployment, a CronJob, a service of a compose project, a
/// unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Workload {
    /// `<namespace>/<owner of the pod>`, the container's name or image, or the unit; null: unknown.
    pub name: Option<String>,
    /// The part of the workload.
    pub part: Option<Part>,
}

/// Parts besides the workload's containers, which are counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Container,
    /// The pod's own cgroup, above those of its containers.
    Pod,
    Sandbox,
    Monitor,
    /// What a sandbox costs beside its containers.
    Overhead,
    Unit,
}

/// Labels of docker compose.
const COMPOSE: [&str; 2] = ["com.docker.compose.project", "com.docker.compose.service"];

impl Workload {
    pub fn of(container: Option<&Container>, unit: Option<&Unit>) -> Self {
        let name = WorkloadName::of(container, unit);
        let part = match container {
            None => name.as_ref().map(|_| Part::Unit),
            Some(container) => Some(match (container.role, &container.id) {
                (Some(Role::Sandbox), _) => Part::Sandbox,
                (Some(Role::Monitor), _) => Part::Monitor,
                (Some(Role::Overhead), _) => Part::Overhead,
                (_, None) => Part::Pod,
                (_, Some(_)) => Part::Container,
            }),
        };
        Self { name: name.map(|name| name.to_string()), part }
    }
}

/// The name of a workload, in its parts. Displays as [`Workload::name`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName {
    /// The namespace of a pod, the project of compose.
    pub namespace: Option<String>,
    pub name: String,
    pub kind: WorkloadKind,
}

/// What a workload is known as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// The owner of Kubernetes pods.
    Pod,
    /// A service of docker compose.
    Compose,
    /// Containers of one name or, without a name, of one image.
    Container,
    Unit,
}

display_as_serialized!(WorkloadKind);

impl WorkloadName {
    /// `None`: unknown.
    pub fn of(container: Option<&Container>, unit: Option<&Unit>) -> Option<Self> {
        let Some(container) = container else {
            let unit = unit.and_then(|unit| unit.user_unit.as_deref().or(unit.unit.as_deref()));
            return unit.map(|unit| Self::plain(unit_family(unit), WorkloadKind::Unit));
        };
        let of_pod = || {
            let (pod, namespace) = (container.pod.as_deref()?, container.namespace.as_deref()?);
            Some(Self::within(namespace, owner_of_pod(pod), WorkloadKind::Pod))
        };
        let label = |name: &str| container.labels.as_ref()?.get(name).map(String::as_str);
        let of_compose = || Some(Self::within(label(COMPOSE[0])?, label(COMPOSE[1])?, WorkloadKind::Compose));
        let named = || container.name.as_deref().map(family::of_name);
        // The steps of all builds: their ids are all that the node knows of them.
        let of_builds = || (container.runtime == Some(Runtime::BuildKit)).then(|| "buildkit".to_owned());
        let own = || named().or_else(|| container.image.clone()).or_else(of_builds);
        of_pod().or_else(of_compose).or_else(|| own().map(|name| Self::plain(name, WorkloadKind::Container)))
    }

    fn within(namespace: &str, name: &str, kind: WorkloadKind) -> Self {
        Self { namespace: Some(namespace.to_owned()), name: name.to_owned(), kind }
    }

    fn plain(name: String, kind: WorkloadKind) -> Self {
        Self { namespace: None, name, kind }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Alphabet of generated names: kubernetes apimachinery pkg/util/rand, without vowels and similar characters.
const GENERATED: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// `randomLength`, kubernetes apiserver pkg/storage/names/generate.go.
const SUFFIX: usize = 5;

/// The name of the Deployment, DaemonSet, StatefulSet, Job or CronJob of a pod, derived from the pod's name.
///
/// - `<owner>-<5 generated>`: ReplicaSet, DaemonSet and Job (pkg/controller/controller_utils.go, GenerateName).
/// - a ReplicaSet is `<deployment>-<hash>`, the hash a number of 32 bits in the same alphabet
///   (pkg/controller/deployment/sync.go).
/// - a Job of a CronJob is `<cronjob>-<minutes since 1970>`, before 1.21 seconds (pkg/controller/cronjob/utils.go,
///   `getJobName`); a pod of an indexed Job has `-<index>` before its suffix.
/// - `<statefulset>-<ordinal>` (pkg/controller/statefulset/stateful_set_utils.go).
///
/// A name chosen by hand that looks like one of these loses its suffix, too.
pub fn owner_of_pod(pod: &str) -> &str {
    let Some(owner) = without(pod, |end| end.len() == SUFFIX && is_generated(end)) else {
        return without(pod, |end| end.len() <= 5 && is_number(end)).unwrap_or(pod);
    };
    without(owner, |end| matches!(end.len(), 8 | 10) && is_number(end))
        .or_else(|| without(owner, |end| (6..=10).contains(&end.len()) && is_generated(end)))
        .unwrap_or(owner)
}

fn is_generated(text: &str) -> bool {
    text.bytes().all(|byte| GENERATED.contains(&byte))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name without `-<end>`, if the end matches and something precedes it.
fn without(name: &str, end_is: impl Fn(&str) -> bool) -> Option<&str> {
    let (owner, end) = name.rsplit_once('-')?;
    (!owner.is_empty() && end_is(end)).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{container_of_path, unit_of_path};

    #[test]
    fn owners() {
        let table = [
            ("backup-28374650-x7kzq", "backup"),
            ("backup-1600000000-x7kzq", "backup"),
            ("web-7d4b9c6f5d-x2xzz", "web"),
            ("coredns-5d78c9869d-8xkzt", "coredns"),
            ("fluentd-x7x2p", "fluentd"),
            ("web-database-x2xzz", "web-database"),
            ("mysql-0", "mysql"),
            ("kafka-broker-12", "kafka-broker"),
            ("kube-apiserver-node1", "kube-apiserver-node1"),
            ("etcd-control-plane", "etcd-control-plane"),
            ("nginx", "nginx"),
            ("-x7x2p", "-x7x2p"),
            ("", ""),
        ];
        for (pod, owner) in table {
            assert_eq!(owner_of_pod(pod), owner, "{pod}");
        }
    }

    #[test]
    fn workloads_of_paths() {
        let id = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
        let uuid = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
        let table = [
            ("/lxc.payload.db", Some("db"), Part::Container),
            ("/lxc.payload.shop_db", Some("shop_db"), Part::Container),
            ("/lxc/103/ns/system.slice/cron.service", Some("103"), Part::Container),
            ("/lxc.monitor/101", Some("101"), Part::Monitor),
            ("/machine.slice/libpod-conmon-{id}.scope", None, Part::Monitor),
            ("/kata_overhead/{id}", None, Part::Overhead),
            ("/system.slice/docker-vy53ljgivqn5q9axwrx1mf40l.scope", Some("buildkit"), Part::Container),
            ("/nomad.slice/share.slice/{uuid}.web.scope", Some("web"), Part::Container),
            (
                "/user.slice/user-0.slice/snap.firefox.firefox-{uuid}.scope",
                Some("snap.firefox.firefox-*.scope"),
                Part::Unit,
            ),
        ];
        for (path, name, part) in table {
            let path = path.replace("{id}", id).replace("{uuid}", uuid);
            let (container, unit) = (container_of_path(path.as_bytes()), unit_of_path(path.as_bytes()));
            let workload = Workload::of(container.as_ref(), unit.as_ref());
            assert_eq!((workload.name.as_deref(), workload.part), (name, Some(part)), "{path}");
        }
    }

    #[test]
    fn a_workload_is_its_containers() {
        let id = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
        let uid = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
        let read = |path: &str| container_of_path(path.as_bytes());
        let named = |container: Option<Container>| {
            let (pod, namespace) = (Some("backup-28374650-x7kzq".to_owned()), Some("prod".to_owned()));
            container.map(|container| Container { pod, namespace, ..container })
        };
        let of = |container: Option<Container>| Workload::of(container.as_ref(), None);
        let backup = |part| Workload { name: Some("prod/backup".to_owned()), part: Some(part) };
        assert_eq!(of(named(read(&format!("/kubepods/pod{uid}/{id}")))), backup(Part::Container));
        assert_eq!(of(named(read(&format!("/kubepods/pod{uid}")))), backup(Part::Pod));
        assert_eq!(of(read(&format!("/docker/{id}"))).name, None, "nobody told");
        let sandbox = named(read(&format!("/kubepods/pod{uid}/{id}")))
            .map(|container| Container { role: Some(Role::Sandbox), ..container });
        assert_eq!(of(sandbox), backup(Part::Sandbox));
        let unit = Workload::of(None, unit_of_path(b"/system.slice/nginx.service").as_ref());
        let expected = Workload { name: Some("nginx.service".to_owned()), part: Some(Part::Unit) };
        assert_eq!(unit, expected);
    }
}
