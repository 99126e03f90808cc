//! Which memcgs are meant: by path, container, memcg ID, serial number or address.

use crate::{
    attribution::Container,
    tracker::{Id, Memcg},
};

/// Shorter is no container id: `docker ps` shows as much.
const SHORTEST_ID: usize = 12;

/// One of the questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'q> {
    query: &'q [u8],
    /// Below the root of the hierarchy, without a slash behind it.
    path: Option<&'q [u8]>,
    number: Option<u64>,
    css: Option<u64>,
}

impl<'q> Target<'q> {
    /// `mount`: where the hierarchy is mounted, which people paste along.
    pub fn parse(query: &'q [u8], mount: &[u8]) -> Self {
        let text = str::from_utf8(query).unwrap_or_default();
        let below = query.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        let path = query.starts_with(b"/").then(|| below.unwrap_or(query));
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        Self {
            query,
            path: path.map(|path| path.strip_suffix(b"/").unwrap_or(path)),
            number: digits.then(|| text.parse().ok()).flatten(),
            css: text.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()),
        }
    }

    /// Whether this memcg is meant. A path means what is below it, too, for a leak is most often a container's child.
    pub fn means(&self, memcg: &Memcg, container: Option<&Container>) -> bool {
        if let Some(path) = self.path {
            let below = memcg.path.as_deref().and_then(|of| of.strip_prefix(path));
            return below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        }
        let by_number = self.number.is_some_and(|number| {
            let id = match memcg.id {
                Id::Held { id, .. } => Some(u64::from(id)),
                Id::Released | Id::Unknown => None,
            };
            id == Some(number) || memcg.key.serial == number
        });
        by_number
            || self.css == Some(memcg.key.css)
            || container.is_some_and(|container| self.names(container))
    }

    fn names(&self, container: &Container) -> bool {
        let Ok(query) = str::from_utf8(self.query) else { return false };
        let Container { id, pod_uid, pod, namespace, name, .. } = container;
        let is = |known: &Option<String>| known.as_deref() == Some(query);
        let in_namespace = namespace.as_deref().zip(pod.as_deref());
        let in_namespace = in_namespace.is_some_and(|(namespace, pod)| {
            query.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/')) == Some(pod)
        });
        let by_id = query.len() >= SHORTEST_ID && id.as_deref().is_some_and(|id| id.starts_with(query));
        by_id || is(id) || is(pod_uid) || is(pod) || is(name) || in_namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Key},
        record::{Backend, Snapshot},
        tracker::{Tracker, TrackerConfig},
    };
    use memcg_trace_common::{CssFlag, EventHeader, Field, Hook};
    use zerocopy::FromZeros as _;

    /// A dying memcg with serial 4711 that owns memcg ID 23.
    fn memcg(path: &str) -> Memcg {
        let header = EventHeader {
            hook: Hook::Walk as u16,
            known: Field::CSS
                | Field::SERIAL
                | Field::MEMCG_ID
                | Field::CSS_FLAGS
                | Field::NAME
                | Field::PATH,
            css: 0xff11_0000,
            serial: 4711,
            memcg_id: 23,
            css_flags: CssFlag::DYING,
            ..EventHeader::new_zeroed()
        };
        let event = Event::new(header, path.as_bytes()).expect("an event");
        let config = TrackerConfig {
            backend: Backend::Kprobe,
            grace_ns: 0,
            live_at_start: None,
            paths: Default::default(),
        };
        let mut tracker = Tracker::new(config);
        let key = Key::of(&event).expect("a css");
        tracker.walked(&Snapshot { events: vec![event], ..Snapshot::default() }, &mut Vec::new());
        let mut memcg = tracker.get(&key).expect("the memcg").clone();
        memcg.path = Some(path.as_bytes().into());
        memcg
    }

    #[test]
    fn a_memcg_is_meant_by_whatever_names_it() {
        let container = Container {
            id: Some("17db96a24ae1e9f0".into()),
            pod_uid: Some("6a4ce4a0-ba47".into()),
            pod: Some("web-0".into()),
            namespace: Some("prod".into()),
            name: Some("nginx".into()),
            ..Container::default()
        };
        let memcg = memcg("/a/b");
        let meant =
            ["/a", "/a/", "/a/b", "/sys/fs/cgroup/a/b/", "/sys/fs/cgroup", "23", "4711", "0xff110000"];
        let named = ["17db96a24ae1", "6a4ce4a0-ba47", "web-0", "prod/web-0", "nginx"];
        for query in meant.into_iter().chain(named) {
            let target = Target::parse(query.as_bytes(), b"/sys/fs/cgroup");
            assert!(target.means(&memcg, Some(&container)), "{query}");
        }
        for query in ["/a/bc", "/b", "24", "0", "0xff", "17db96a", "web", "prod/web", "prod/", "", "\u{fffd}"]
        {
            let target = Target::parse(query.as_bytes(), b"/sys/fs/cgroup");
            assert!(!target.means(&memcg, Some(&container)), "{query}");
        }
    }
}
