//! Merges facts from the node into those from the path.

use super::{Container, Fact, Facts, container_of_path};

impl Container {
    /// Combines a path with the answers to [`super::Question::about`] it.
    pub fn of(path: &[u8], facts: &[Facts]) -> Option<Self> {
        let mut container = match container_of_path(path) {
            Some(container) => container,
            // Nothing in the path: only a runtime that knows this exact path makes it a container.
            None => facts.first().map(|_| Self::default())?,
        };
        facts.iter().for_each(|facts| container.learn(facts));
        Some(container)
    }

    /// Adds unknown facts to this container, or to the outer one that the facts are about.
    pub fn learn(&mut self, facts: &Facts) {
        if self.is_meant_by(facts) {
            self.complete(facts);
        } else if let Some(outer) = &mut self.outer {
            outer.learn(facts);
        }
    }

    /// Facts without a container id are about the pod. A cgroup without an id was looked up by its path, and the answer
    /// has the id. Facts of a container are also about what stands beside it.
    fn is_meant_by(&self, facts: &Facts) -> bool {
        let same_pod = self.pod_uid.is_none() || facts.pod_uid.is_none() || self.pod_uid == facts.pod_uid;
        match (self.id.as_ref().or(self.of_id.as_ref()), &facts.id) {
            (Some(own), Some(other)) => own == other,
            (_, None) => same_pod,
            (None, Some(_)) => !self.is_beside() && self.pod_uid.is_none() && self.outer.is_none(),
        }
    }

    /// What stands beside a container has its names, but is not run from its image.
    fn complete(&mut self, facts: &Facts) {
        let beside = self.is_beside();
        let Self { id, pod_uid, runtime, pod, namespace, name, image, role, labels, learned, .. } = self;
        let mut learned_now = |fact, new| {
            if new {
                learned.get_or_insert_default().entry(fact).or_insert(facts.source);
            }
        };
        if !beside {
            learned_now(Fact::Id, fill(id, &facts.id));
            learned_now(Fact::Image, fill(image, &facts.image));
        }
        learned_now(Fact::PodUid, fill(pod_uid, &facts.pod_uid));
        learned_now(Fact::Runtime, fill(runtime, &facts.runtime));
        learned_now(Fact::Pod, fill(pod, &facts.pod));
        learned_now(Fact::Namespace, fill(namespace, &facts.namespace));
        learned_now(Fact::Name, fill(name, &facts.name));
        learned_now(Fact::Role, fill(role, &facts.role));
        let some_labels = Some(&facts.labels).filter(|labels| !labels.is_empty()).cloned();
        learned_now(Fact::Labels, fill(labels, &some_labels));
    }
}

/// True if the fact is new.
fn fill<T: Clone>(known: &mut Option<T>, told: &Option<T>) -> bool {
    let new = known.is_none() && told.is_some();
    if new {
        known.clone_from(told);
    }
    new
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::attribution::FactSource;

    const ID: &str = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
    const IN: &str = "b2c7024b6f16aa00bb11cc22dd33ee44ff5566778899aabbccddeeff00112233";

    fn facts(source: FactSource, id: &str, name: &str) -> Facts {
        Facts { id: Some(id.to_owned()), name: Some(name.to_owned()), ..Facts::of(source) }
    }

    #[test]
    fn the_first_source_of_a_fact_stands() {
        let mut container = container_of_path(format!("/docker/{ID}").as_bytes()).expect("a container");
        let image = Some("busybox:1".to_owned());
        container.learn(&facts(FactSource::DockerConfig, ID, "web"));
        container.learn(&Facts { image: image.clone(), ..facts(FactSource::DockerApi, ID, "other") });
        assert_eq!((container.name.as_deref(), container.image), (Some("web"), image));
        let learned = [(Fact::Name, FactSource::DockerConfig), (Fact::Image, FactSource::DockerApi)];
        assert_eq!(container.learned, Some(BTreeMap::from(learned)));
    }

    #[test]
    fn facts_go_to_the_container_that_they_are_about() {
        let path = format!("/docker/{ID}/docker/{IN}");
        let mut container = container_of_path(path.as_bytes()).expect("a container");
        container.learn(&facts(FactSource::DockerConfig, ID, "node"));
        container.learn(&facts(FactSource::DockerConfig, "somebody-else", "no"));
        assert_eq!(container.name, None);
        let names: Vec<_> = container.and_outer().map(|container| container.name.as_deref()).collect();
        assert_eq!(names, [None, Some("node")]);
    }

    #[test]
    fn a_path_that_only_its_runtime_knows() {
        let container = Container::of(b"/custom/web", &[facts(FactSource::RuncState, ID, "web")]);
        let container = container.expect("a container");
        assert_eq!((container.id.as_deref(), container.name.as_deref()), (Some(ID), Some("web")));
        assert_eq!(Container::of(b"/custom/web", &[]), None);
    }

    #[test]
    fn facts_of_a_pod_are_for_all_that_may_be_in_it() {
        let uid = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
        let other = "0cc47ac5-ba47-11ea-b2a7-6a4ce4a0979e";
        let (inside, anywhere) = (format!("/kubepods/pod{uid}/{ID}"), format!("/docker/{ID}"));
        let table = [
            (&inside, Some(uid), true),
            (&inside, None, true),
            (&inside, Some(other), false),
            (&anywhere, Some(uid), true),
            (&anywhere, None, true),
        ];
        for (path, uid, meant) in table {
            let pod = Facts { pod: Some("web-1".to_owned()), ..Facts::of(FactSource::Kubelet) };
            let pod = Facts { pod_uid: uid.map(str::to_owned), ..pod };
            let container = Container::of(path.as_bytes(), &[pod]).expect("a container");
            assert_eq!(container.pod.is_some(), meant, "{path} {uid:?}");
        }
    }

    #[test]
    fn a_monitor_has_the_names_of_what_it_watches() {
        let path = format!("/machine.slice/libpod-conmon-{ID}.scope");
        let mut monitor = container_of_path(path.as_bytes()).expect("a monitor");
        let image = Some("busybox:1".to_owned());
        monitor.learn(&facts(FactSource::ContainersStorage, IN, "other"));
        monitor.learn(&Facts { image, ..facts(FactSource::ContainersStorage, ID, "web") });
        assert_eq!((monitor.name.as_deref(), &monitor.id, &monitor.image), (Some("web"), &None, &None));
        assert_eq!(monitor.title().as_deref(), Some("monitor of web"));
    }

    #[test]
    fn a_pod_is_not_one_of_its_containers() {
        let uid = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";
        let mut pod = container_of_path(format!("/kubepods/pod{uid}").as_bytes()).expect("a pod");
        let container = facts(FactSource::Bundle, ID, "web");
        let container = Facts { pod_uid: Some(uid.to_owned()), pod: Some("web-1".to_owned()), ..container };
        pod.learn(&container);
        assert_eq!((&pod.id, &pod.pod, &pod.name), (&None, &None, &None));
        pod.learn(&container.of_pod().expect("the pod's name"));
        assert_eq!((&pod.id, pod.pod.as_deref(), &pod.name), (&None, Some("web-1"), &None));
    }
}
