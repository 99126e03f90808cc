//! The workload that a pod, container or unit belongs to.

use serde::Serialize;

use super::{Container, Role, Unit};

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
    Unit,
}

/// Labels of docker compose.
const COMPOSE: [&str; 2] = ["com.docker.compose.project", "com.docker.compose.service"];

impl Workload {
    pub fn of(container: Option<&Container>, unit: Option<&Unit>) -> Self {
        let Some(container) = container else {
            let unit = unit.and_then(|unit| unit.user_unit.as_deref().or(unit.unit.as_deref()));
            return Self { name: unit.map(unit_family), part: unit.map(|_| Part::Unit) };
        };
        let part = match (container.role, &container.id) {
            (Some(Role::Sandbox), _) => Part::Sandbox,
            (Some(Role::Monitor), _) => Part::Monitor,
            (_, None) => Part::Pod,
            (_, Some(_)) => Part::Container,
        };
        let of_pod = || {
            let pod = container.pod.as_deref()?;
            Some(format!("{}/{}", container.namespace.as_deref()?, owner_of_pod(pod)))
        };
        let label = |name: &str| container.labels.as_ref()?.get(name).map(String::as_str);
        let of_compose = || Some(format!("{}/{}", label(COMPOSE[0])?, label(COMPOSE[1])?));
        let name = of_pod().or_else(of_compose).or_else(|| container.name.clone());
        Self { name: name.or_else(|| container.image.clone()), part: Some(part) }
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

/// The unit, with `*` instead of numbers and ids of transient units and containers' scopes: digits of a session or
/// `systemd-run`, and 12 or more hex digits.
pub fn unit_family(unit: &str) -> String {
    const NUMBERED: &[&str] = &["session-", "run-u", "run-r", "run-p"];
    let (stem, suffix) = unit.rsplit_once('.').unwrap_or((unit, ""));
    if let Some(prefix) = NUMBERED.iter().find(|prefix| {
        stem.strip_prefix(**prefix).is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_hexdigit())
                && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-i".contains(&byte))
        })
    }) {
        return format!("{prefix}*.{suffix}");
    }
    let hex = |byte: &u8| byte.is_ascii_hexdigit();
    match stem.rsplit_once(['-', '@']) {
        Some((kind, id)) if id.len() >= 12 && id.as_bytes().iter().all(hex) => {
            format!("{}*.{suffix}", &stem[..=kind.len()])
        }
        _ => unit.to_owned(),
    }
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
    fn families_of_units() {
        let table = [
            ("nginx.service", "nginx.service"),
            ("postgresql@9.4-main.service", "postgresql@9.4-main.service"),
            ("session-12.scope", "session-*.scope"),
            ("run-u123.service", "run-u*.service"),
            ("run-rb7c7a2bf0d5c4f4e8a9b0c1d2e3f4a5b.scope", "run-r*.scope"),
            ("run-docker.mount", "run-docker.mount"),
            ("docker-17db96a24ae1e9f0.scope", "docker-*.scope"),
            ("user@1000.service", "user@1000.service"),
        ];
        for (unit, family) in table {
            assert_eq!(unit_family(unit), family);
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
