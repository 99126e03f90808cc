//! Keeps names until the memcg is freed, which may be long after the runtime has removed the container.

use std::collections::VecDeque;

use foldhash::HashMap;

use serde::{Deserialize, Serialize};

use super::{Container, Facts};
use crate::event::{ID_LIMIT, Key};

/// Memcgs that nobody found time to ask the node about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesMissing {
    pub memcgs: u64,
    /// The part of the hierarchy that most of them are from, and how many are.
    pub slice: Box<[u8]>,
    pub of_slice: u64,
}

/// Facts by memcg, not by container id, as ids may be reused.
#[derive(Debug, Default)]
pub struct Names {
    of_memcg: HashMap<Key, Vec<Facts>>,
    /// Pod facts by UID, and the number of memcgs they come from: a pod's own cgroup is older than the first container
    /// with the pod's name.
    of_pod: HashMap<String, (Facts, usize)>,
    /// Pods without remaining containers, latest last: the pod's own memcg is freed after those of its containers.
    bereft: VecDeque<String>,
    /// Memcgs that the node was not asked about.
    pub missing: Option<NamesMissing>,
}

impl Names {
    /// Maximum number of memcgs with names. There cannot be more, except for dying ones without an ID.
    const MOST: usize = 2 * ID_LIMIT as usize;

    /// Maximum number of such pods.
    const BEREFT: usize = 256;

    pub fn insert(&mut self, key: Key, facts: &[Facts]) {
        if facts.is_empty() || self.of_memcg.len() >= Self::MOST && !self.of_memcg.contains_key(&key) {
            return;
        }
        for pod in facts.iter().filter_map(Facts::of_pod) {
            if let Some(uid) = pod.pod_uid.clone() {
                self.of_pod.entry(uid).or_insert((pod, 0)).1 += 1;
            }
        }
        self.of_memcg.entry(key).or_default().extend_from_slice(facts);
    }

    /// Removes a freed memcg.
    pub fn remove(&mut self, key: &Key) {
        for facts in self.of_memcg.remove(key).unwrap_or_default() {
            let Some(uid) = facts.of_pod().and_then(|pod| pod.pod_uid) else { continue };
            if let Some((_, memcgs)) = self.of_pod.get_mut(&uid) {
                *memcgs -= 1;
                if *memcgs == 0 {
                    self.bereft.push_back(uid);
                }
            }
        }
        self.limit_bereft();
    }

    fn limit_bereft(&mut self) {
        while self.bereft.len() > Self::BEREFT {
            let pod = self.bereft.pop_front();
            if let Some(uid) = pod.filter(|uid| self.of_pod.get(uid).is_some_and(|(_, memcgs)| *memcgs == 0))
            {
                self.of_pod.remove(&uid);
            }
        }
    }

    /// All facts of a memcg, in place of what is known.
    pub fn replace(&mut self, key: Key, facts: &[Facts]) {
        if self.has(&key) {
            self.remove(&key);
        }
        self.insert(key, facts);
    }

    /// What was told of a memcg.
    pub fn facts_of(&self, key: &Key) -> &[Facts] {
        self.of_memcg.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The pods without remaining containers, latest last.
    pub fn bereft(&self) -> impl Iterator<Item = &Facts> {
        self.bereft.iter().filter_map(|uid| Some(&self.of_pod.get(uid)?.0))
    }

    /// Keeps the name of a pod without remaining containers.
    pub fn remember_bereft(&mut self, pod: &Facts) {
        if let Some(uid) = pod.pod_uid.clone().filter(|uid| !self.of_pod.contains_key(uid)) {
            self.of_pod.insert(uid.clone(), (pod.clone(), 0));
            self.bereft.push_back(uid);
            self.limit_bereft();
        }
    }

    /// Whether any facts are known.
    pub fn has(&self, key: &Key) -> bool {
        self.of_memcg.contains_key(key)
    }

    /// Number of sources that had something to tell.
    pub fn told_of(&self, key: &Key) -> usize {
        self.of_memcg.get(key).map_or(0, Vec::len)
    }

    pub fn len(&self) -> usize {
        self.of_memcg.len()
    }

    pub fn is_empty(&self) -> bool {
        self.of_memcg.is_empty()
    }

    /// The container of a memcg, from its path and all facts.
    pub fn container_of(&self, key: &Key, path: Option<&[u8]>) -> Option<Container> {
        let mut container = Container::of(path?, self.facts_of(key))?;
        let of_pod = container.pod_uid.as_ref().and_then(|uid| self.of_pod.get(uid));
        if let Some((pod, _)) = of_pod {
            container.learn(pod);
        }
        Some(container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::FactSource;

    fn facts(number: u64) -> Facts {
        let text = |what: &str| Some(format!("{what}-{number}"));
        Facts { id: text("id"), pod_uid: text("uid"), pod: text("pod"), ..Facts::of(FactSource::Bundle) }
    }

    fn key(serial: u64) -> Key {
        Key { css: serial << 12, serial }
    }

    #[test]
    fn memory_follows_the_memcgs() {
        let mut names = Names::default();
        for number in 0..10_000 {
            names.insert(key(number), &[facts(number)]);
            names.insert(key(number), &[facts(number)]);
            if let Some(old) = number.checked_sub(100) {
                names.remove(&key(old));
                names.remove(&key(old));
            }
        }
        assert_eq!((names.len(), names.of_pod.len()), (100, 100 + Names::BEREFT));
        let latest = names.bereft().last().and_then(|pod| pod.pod_uid.as_deref());
        assert_eq!((names.bereft().count(), latest), (Names::BEREFT, Some("uid-9899")));
    }

    #[test]
    fn no_more_memcgs_than_there_are_ids_for() {
        let mut names = Names::default();
        let named = Facts { name: Some("web".to_owned()), ..Facts::of(FactSource::Bundle) };
        for number in 0..200_000 {
            names.insert(key(number), std::slice::from_ref(&named));
        }
        assert_eq!((names.len(), names.has(&key(131_069)), names.has(&key(131_070))), (131_070, true, false));
        // One that is known may still learn.
        names.insert(key(0), &[named]);
        assert_eq!((names.told_of(&key(0)), names.told_of(&key(1))), (2, 1));
    }

    #[test]
    fn a_checkpoint_knows_better() {
        let mut names = Names::default();
        names.insert(key(1), &[facts(1)]);
        for told in [&[facts(2), facts(3)][..], &[]] {
            names.replace(key(1), told);
            assert_eq!((names.facts_of(&key(1)), names.has(&key(1))), (told, !told.is_empty()));
        }
    }

    #[test]
    fn nothing_told_is_no_name() {
        let mut names = Names::default();
        names.insert(key(1), &[]);
        assert!(names.is_empty() && !names.has(&key(1)));
        names.insert(key(1), &[facts(1)]);
        assert!(!names.is_empty());
    }

    #[test]
    fn a_pod_is_remembered_beyond_its_last_container() {
        let mut names = Names::default();
        let uids = |names: &Names| names.bereft().filter_map(|pod| pod.pod_uid.clone()).collect::<Vec<_>>();
        names.insert(key(1), &[facts(7)]);
        names.insert(key(2), &[facts(7)]);
        names.remove(&key(1));
        assert!(uids(&names).is_empty());
        names.remove(&key(2));
        assert_eq!(uids(&names), ["uid-7"]);
        // A checkpoint has another, and one that has containers here.
        names.insert(key(3), &[facts(9)]);
        for number in [8, 9] {
            names.remember_bereft(&facts(number));
        }
        assert_eq!(uids(&names), ["uid-7", "uid-8"]);
    }

    #[test]
    fn an_id_that_is_used_again_is_somebody_else() {
        let mut names = Names::default();
        let named = |name: &str| Facts { name: Some(name.to_owned()), ..facts(1) };
        names.insert(key(1), &[named("first")]);
        names.insert(key(2), &[named("second")]);
        names.remove(&key(1));
        assert_eq!((names.has(&key(1)), names.of_memcg[&key(2)][0].name.as_deref()), (false, Some("second")));
    }
}
