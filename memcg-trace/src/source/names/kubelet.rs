//! Kubelet's files and directories, some of which outlive the pod.

use std::{collections::HashMap, path::Path};

use super::{cache::Cached, kubernetes::text, root::Root};
use crate::attribution::{FactSource, Facts};

/// `<pod>_<namespace>_<container>-<id>.log` (kubernetes pkg/kubelet/kuberuntime/legacy.go).
const CONTAINERS: &str = "/var/log/containers";
/// `<namespace>_<pod>_<uid>` (pkg/kubelet/kuberuntime/helpers.go, `BuildPodLogsDirectory`).
const PODS: &str = "/var/log/pods";
/// A directory for each pod, by UID (pkg/kubelet/kubelet_getters.go).
const VOLUMES: &str = "/var/lib/kubelet/pods";

/// The listings of both directories.
#[derive(Debug, Default)]
pub struct Kubelet {
    containers: Cached<HashMap<String, Facts>>,
    pods: Cached<HashMap<String, Facts>>,
}

impl Kubelet {
    /// Facts from the link to the container's log.
    pub fn container(&mut self, root: &Root, id: &str) -> Option<Facts> {
        let listing = |root: &Root, path: &Path| {
            let names = root.list(path).unwrap_or_default();
            names.iter().filter_map(|name| container(name)).collect()
        };
        self.containers.get(root, Path::new(CONTAINERS), listing)?.get(id).cloned()
    }

    /// Facts from the directory of the pod's logs, or at least the namespace from the volume of its service account.
    pub fn pod(&mut self, root: &Root, uid: &str) -> Option<Facts> {
        let listing = |root: &Root, path: &Path| {
            let names = root.list(path).unwrap_or_default();
            names.iter().filter_map(|name| pod(name)).collect()
        };
        let by_logs = self.pods.get(root, Path::new(PODS), listing).and_then(|pods| pods.get(uid).cloned());
        by_logs.or_else(|| {
            let projected = Path::new(VOLUMES).join(uid).join("volumes/kubernetes.io~projected");
            let volumes = root.list(&projected).ok()?;
            let volume = volumes.iter().find(|name| name.starts_with("kube-api-access-"))?;
            let namespace = root.read(&projected.join(volume).join("namespace")).ok()?;
            let namespace = str::from_utf8(&namespace).ok().and_then(text);
            Some(Facts { pod_uid: Some(uid.to_owned()), namespace, ..Facts::of(FactSource::Kubelet) })
        })
    }
}

fn container(log: &str) -> Option<(String, Facts)> {
    let (names, id) = log.strip_suffix(".log")?.rsplit_once('-')?;
    let [pod, namespace, name] = names.split('_').map(text).collect::<Vec<_>>().try_into().ok()?;
    let facts = Facts { id: Some(id.to_owned()), pod, namespace, name, ..Facts::of(FactSource::Kubelet) };
    Some((id.to_owned(), facts))
}

fn pod(directory: &str) -> Option<(String, Facts)> {
    let [namespace, pod, uid] = directory.split('_').map(text).collect::<Vec<_>>().try_into().ok()?;
    let uid = uid?;
    let facts = Facts { pod_uid: Some(uid.clone()), pod, namespace, ..Facts::of(FactSource::Kubelet) };
    Some((uid, facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logs() {
        let (id, facts) = container("web-0_prod_nginx-17db96a24ae1.log").expect("a container");
        assert_eq!(id, "17db96a24ae1");
        let Facts { pod: of, namespace, name, .. } = facts;
        assert_eq!(
            [of.as_deref(), namespace.as_deref(), name.as_deref()],
            [Some("web-0"), Some("prod"), Some("nginx")]
        );
        let (uid, facts) = pod("prod_web-0_6a4ce4a0-ba47").expect("a pod");
        assert_eq!((uid.as_str(), facts.pod.as_deref()), ("6a4ce4a0-ba47", Some("web-0")));
        assert_eq!((container("syslog.log"), pod("lost+found"), pod("a_b_c_d")), (None, None, None));
    }
}
