//! Questions about a memcg to the node.

use super::{Container, Runtime, container_of_path};

/// Containers in containers in containers that are asked about.
const NESTED_MAX: usize = 4;

/// A question: everything needed to find the container's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub path: Box<[u8]>,
    /// Containers in the path, innermost first.
    pub ids: Vec<(String, Option<Runtime>)>,
    pub pod_uid: Option<String>,
}

impl Question {
    /// `None`: nothing to look up. A path that does not prove a container is still a question: runc and ctr accept any
    /// name, and then only the runtime knows. Cgroups of systemd units are not containers.
    pub fn about(path: &[u8]) -> Option<Self> {
        let Some(container) = container_of_path(path) else {
            let name = path.rsplit(|&byte| byte == b'/').next()?;
            let silent = [&b".slice"[..], b".service", b".mount", b".socket", b".swap"];
            let asks = !name.is_empty() && !silent.iter().any(|suffix| name.ends_with(suffix));
            return asks.then(|| Self { path: path.into(), ids: Vec::new(), pod_uid: None });
        };
        // kata runs the containers of others, who have the names.
        let runtime = |container: &Container| container.runtime.filter(|&runtime| runtime != Runtime::Kata);
        let id = |container: &Container| container.id.clone().or_else(|| container.of_id.clone());
        let mut ids: Vec<_> =
            container.and_outer().filter_map(|one| id(one).map(|id| (id, runtime(one)))).collect();
        if ids.is_empty() && container.is_beside() && container.pod_uid.is_none() {
            return None;
        }
        // Whoever is in a container may nest names as they like. The outermost one is what the node's runtime knows.
        ids.drain(..ids.len().saturating_sub(NESTED_MAX));
        Some(Self { path: path.into(), ids, pod_uid: container.pod_uid.clone() })
    }

    /// Whether the path has a container or pod: then an answer is likely, and worth waiting for.
    pub fn is_promising(&self) -> bool {
        !self.ids.is_empty() || self.pod_uid.is_some()
    }

    /// Components of the path.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        let parts = self.path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        // Names of containers are UTF-8, and not `.` or `..`.
        parts.map(|part| str::from_utf8(part).ok().filter(|name| !matches!(*name, "." | "..")).unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worth_asking() {
        let id = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
        let uid = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
        let ask = |path: &str| Question::about(path.as_bytes());
        assert_eq!(ask("/").map(|question| question.is_promising()), None);
        assert_eq!(ask("/system.slice/nginx.service"), None);
        assert_eq!(ask("/libpod_parent/conmon"), None, "of no container in particular");
        let ids = |path: &str| ask(&path.replace("{id}", id)).map(|question| question.ids);
        let conmon = Some(vec![(id.to_owned(), Some(Runtime::Podman))]);
        assert_eq!(
            ids("/machine.slice/libpod-conmon-{id}.scope"),
            conmon,
            "of the container that it watches"
        );
        assert_eq!(ids("/kata_overhead/{id}"), Some(vec![(id.to_owned(), None)]));
        assert_eq!(ask("/default/ct1").map(|question| question.is_promising()), Some(false));
        let nested = ask(&format!("/docker/{id}/kubepods/pod{uid}/crio-{id}")).expect("a question");
        let ids: Vec<_> = nested.ids.iter().map(|(_, runtime)| *runtime).collect();
        assert_eq!(ids, [Some(Runtime::CriO), Some(Runtime::Docker)]);
        assert_eq!(nested.pod_uid.as_deref(), Some(uid));
    }
    /// What is looked up in directories must not lead out of them.
    #[test]
    fn components_are_names() {
        let question = Question { path: (*b"//a/../b\xff/./c.d/").into(), ids: Vec::new(), pod_uid: None };
        assert_eq!(question.components().collect::<Vec<_>>(), ["a", "", "", "", "c.d"]);
    }
}
