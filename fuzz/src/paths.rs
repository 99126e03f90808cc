//! A cgroup's path: its container, unit, workload and owner, and what the node is asked about it.

use memcg_trace::attribution::{
    ByOwner, Part, Question, Workload, WorkloadName, container_of_path, owner_of_pod, short_id, unit_family,
    unit_of_path,
};

/// Whatever the path is, what is made of it is no longer than a few times the path.
const TIMES: usize = 16;

pub fn run(path: &[u8]) -> bool {
    let container = container_of_path(path);
    let unit = unit_of_path(path);
    let workload = Workload::of(container.as_ref(), unit.as_ref());
    let name = WorkloadName::of(container.as_ref(), unit.as_ref());
    let owners = [ByOwner::Workload, ByOwner::Namespace, ByOwner::Image, ByOwner::Runtime, ByOwner::Unit];
    for by in owners {
        let _ = by.owner(container.as_ref(), Some(path));
    }
    if let Some(question) = Question::about(path) {
        assert!(question.components().all(|part| !part.contains('/') && part != ".."));
        assert!(question.ids.iter().all(|(id, _)| is_plain(id)), "{:?}", question.ids);
        assert!(question.pod_uid.iter().all(|uid| is_plain(uid)), "{:?}", question.pod_uid);
    }
    for container in container.iter().flat_map(|container| container.and_outer()) {
        let _ = (container.title(), container.pod_title(), container.short_id().map(short_id));
    }
    if let Ok(text) = str::from_utf8(path) {
        let _ = (unit_family(text), owner_of_pod(text));
    }
    let said = format!("{:?}{:?}{:?}{}", unit, workload.name, name, matches!(workload.part, Some(Part::Pod)));
    assert!(said.len() <= 1024 + TIMES * path.len(), "{} bytes of {}", said.len(), path.len());
    container.is_some() || unit.is_some()
}

/// Parts of a path on the node are made of it.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains('/') && text != "." && text != ".."
}
