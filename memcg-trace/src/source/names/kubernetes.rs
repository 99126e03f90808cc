//! Names that kubelet passes to every runtime, and the labels that are kept.

use std::collections::BTreeMap;

use crate::attribution::{Facts, Role};

/// Maximum length of a value: names in Kubernetes have up to 253 bytes, image references may have more.
const TEXT_MAX: usize = 512;

/// Labels that identify the owner of a container: Kubernetes' recommended ones, their predecessors, and those of docker
/// compose.
const LABELS: &[&str] = &[
    "app",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "com.docker.compose.project",
    "com.docker.compose.service",
    "component",
    "k8s-app",
];

/// Takes facts from labels: kubernetes pkg/kubelet/types/labels.go, and the kind added by containerd and cri-dockerd.
pub fn take_labels(facts: &mut Facts, labels: &BTreeMap<String, String>) {
    let label = |name: &str| labels.get(name).and_then(|value| text(value));
    facts.name = label("io.kubernetes.container.name").or(facts.name.take());
    facts.pod = label("io.kubernetes.pod.name").or(facts.pod.take());
    facts.namespace = label("io.kubernetes.pod.namespace").or(facts.namespace.take());
    facts.pod_uid = label("io.kubernetes.pod.uid").or(facts.pod_uid.take());
    let kind = labels.get("io.cri-containerd.kind").or_else(|| labels.get("io.kubernetes.docker.type"));
    facts.role = match kind.map(String::as_str) {
        Some("sandbox" | "podsandbox") => Some(Role::Sandbox),
        Some("container") => Some(Role::Workload),
        _ => facts.role,
    };
    facts.labels = LABELS.iter().filter_map(|name| Some(((*name).to_owned(), label(name)?))).collect();
}

/// A value that is not empty and not too long.
pub fn text(value: &str) -> Option<String> {
    (!value.is_empty() && value.len() <= TEXT_MAX).then(|| value.to_owned())
}
