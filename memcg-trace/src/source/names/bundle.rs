//! The OCI bundle: config.json, which the runtime writes before it creates the cgroup, and the annotations of each
//! runtime.
//!
//! The bundle is removed with the container: this only works while it exists.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    kubernetes::{take_labels, text},
    node_root::Root,
};
use crate::attribution::{FactSource, Facts, Role, Runtime};

/// The fields read from a config.json (opencontainers/runtime-spec, config.md).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BundleConfig {
    pub annotations: BTreeMap<String, String>,
    pub linux: Linux,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux {
    pub cgroups_path: String,
}

impl BundleConfig {
    pub fn read(root: &Root, bundle: &Path) -> Option<Self> {
        Self::parse(&root.read(&bundle.join("config.json")).ok()?)
    }

    /// Of the bytes of a config.json.
    pub fn parse(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }

    /// The facts in the annotations of a container.
    pub fn facts(&self, id: &str, runtime: Option<Runtime>) -> Facts {
        let mut facts = Facts { id: Some(id.to_owned()), runtime, ..Facts::of(FactSource::Bundle) };
        let get = |key: &str| self.annotations.get(key).and_then(|value| text(value));
        // Kubernetes' own, which CRI-O copies unchanged.
        take_labels(&mut facts, &self.annotations);
        // containerd internal/cri/annotations/annotations.go
        let cri = |key: &str| get(&format!("io.kubernetes.cri.{key}"));
        facts.name = cri("container-name").or(facts.name);
        facts.pod = cri("sandbox-name").or(facts.pod);
        facts.namespace = cri("sandbox-namespace").or(facts.namespace);
        facts.pod_uid = cri("sandbox-uid").or(facts.pod_uid);
        // CRI-O vendor/github.com/containers/podman pkg/annotations/annotations.go
        let crio = |key: &str| get(&format!("io.kubernetes.cri-o.{key}"));
        facts.image = cri("image-name").or_else(|| crio("UserRequestedImage")).or_else(|| crio("ImageName"));
        // nerdctl pkg/labels/labels.go; opencontainers/image-spec annotations.md
        facts.name = facts.name.or_else(|| get("nerdctl/name"));
        facts.image = facts.image.or_else(|| get("org.opencontainers.image.ref.name"));
        facts.role = match cri("container-type").or_else(|| crio("ContainerType")).as_deref() {
            Some("sandbox") => Some(Role::Sandbox),
            Some("container") => Some(Role::Workload),
            _ => facts.role,
        };
        if let Some(labels) = self.annotations.get("io.kubernetes.cri-o.Labels")
            && let Ok(labels) = serde_json::from_str(labels)
        {
            take_labels(&mut facts, &labels);
        }
        facts.runtime = match get("io.container.manager").as_deref() {
            Some("cri-o") => Some(Runtime::CriO),
            Some("libpod") => Some(Runtime::Podman),
            _ => facts.runtime,
        };
        facts
    }
}

/// Paths of a containerd: bundles of running containers, and socket.
pub struct Containerd {
    pub state: &'static str,
    pub socket: &'static str,
}

/// containerd itself, those of k3s, k0s and microk8s, and the one started by dockerd if there is no other.
pub const CONTAINERDS: &[Containerd] = &[
    Containerd { state: "/run/containerd", socket: "/run/containerd/containerd.sock" },
    Containerd { state: "/run/k3s/containerd", socket: "/run/k3s/containerd/containerd.sock" },
    Containerd { state: "/run/k0s/containerd", socket: "/run/k0s/containerd.sock" },
    Containerd {
        state: "/var/snap/microk8s/common/run/containerd",
        socket: "/var/snap/microk8s/common/run/containerd.sock",
    },
    Containerd { state: "/run/docker/containerd/daemon", socket: "/run/docker/containerd/containerd.sock" },
];

impl Containerd {
    /// The directories of namespaces: containerd core/runtime/v2/bundle.go.
    pub fn tasks(&self) -> PathBuf {
        Path::new(self.state).join("io.containerd.runtime.v2.task")
    }
}

/// The runtime that uses a namespace of containerd.
pub fn runtime_of_namespace(namespace: &str) -> Runtime {
    match namespace {
        "moby" => Runtime::Docker,
        "buildkit" => Runtime::BuildKit,
        _ => Runtime::Containerd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(annotations: &[(&str, &str)]) -> BundleConfig {
        let annotations = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        BundleConfig { annotations: annotations.collect(), ..BundleConfig::default() }
    }

    #[test]
    fn annotations_of_containerd() {
        let facts = config(&[
            ("io.kubernetes.cri.container-name", "web"),
            ("io.kubernetes.cri.container-type", "container"),
            ("io.kubernetes.cri.image-name", "docker.io/library/nginx:1"),
            ("io.kubernetes.cri.sandbox-name", "web-0"),
            ("io.kubernetes.cri.sandbox-namespace", "prod"),
            ("io.kubernetes.cri.sandbox-uid", "u"),
        ])
        .facts("id", Some(Runtime::Containerd));
        let Facts { name, image, pod, namespace, pod_uid, role, .. } = &facts;
        let texts = [name, image, pod, namespace, pod_uid].map(|text| text.as_deref());
        assert_eq!(
            texts,
            [Some("web"), Some("docker.io/library/nginx:1"), Some("web-0"), Some("prod"), Some("u")]
        );
        assert_eq!(*role, Some(Role::Workload));
    }

    #[test]
    fn annotations_of_crio() {
        let facts = config(&[
            ("io.container.manager", "cri-o"),
            ("io.kubernetes.container.name", "POD"),
            ("io.kubernetes.cri-o.ContainerType", "sandbox"),
            ("io.kubernetes.cri-o.ImageName", "registry.k8s.io/pause:3.9"),
            (
                "io.kubernetes.cri-o.Labels",
                r#"{"app":"shop","secret":"no","io.kubernetes.pod.name":"shop-1"}"#,
            ),
            ("io.kubernetes.pod.namespace", "prod"),
        ])
        .facts("id", None);
        assert_eq!((facts.runtime, facts.role), (Some(Runtime::CriO), Some(Role::Sandbox)));
        assert_eq!((facts.pod.as_deref(), facts.namespace.as_deref()), (Some("shop-1"), Some("prod")));
        assert_eq!(facts.labels, BTreeMap::from([("app".to_owned(), "shop".to_owned())]));
    }

    #[test]
    fn a_text_that_is_too_long_is_none() {
        let long = "x".repeat(100_000);
        assert_eq!(config(&[("io.kubernetes.cri.container-name", &long)]).facts("id", None).name, None);
    }
}
