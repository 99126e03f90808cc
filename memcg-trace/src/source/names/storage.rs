//! containers/storage, where podman and CRI-O keep their containers.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{bundle::BundleConfig, cached::Cached, kubernetes::text, node_root::Root};
use crate::attribution::{FactSource, Facts};

/// Of root: what outlives a boot, and what does not. containers/storage docs/containers-storage.conf.5.md.
const OF_ROOT: [&str; 2] = ["/run/containers/storage", "/var/lib/containers/storage"];
/// Directories are called after the driver (containers/storage drivers/driver.go, `Priority`).
const DRIVERS: &[&str] = &["overlay", "vfs", "btrfs", "zfs", "aufs", "devicemapper"];
/// A driver has them under these names.
const LISTS: &[&str] = &["containers.json", "volatile-containers.json"];

/// Of a container's id: SHA-256 in hexadecimal digits (containers/storage pkg/stringid).
const ID_LENGTH: usize = 64;

/// As many lists are kept, each with so many containers, for so long after they were last of use.
const LISTS_MAX: usize = 24;
const CONTAINERS_MAX: usize = 20_000;
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Where containers/storage keeps the containers of somebody.
#[derive(Debug)]
pub struct Home {
    /// For its owner's eyes.
    pub root: Root,
    pub uid: u32,
    /// Below that.
    pub storage: PathBuf,
}

/// The lists that have been read, the latest last.
#[derive(Debug, Default)]
pub struct Storage {
    /// Of each of the node's own, the drivers that are in use.
    drivers: [Cached<Vec<&'static str>>; OF_ROOT.len()],
    lists: Vec<(ListOf, Cached<ContainerList>)>,
}

/// The user who owns a list and its path; `None`: the node's.
type ListOf = (Option<u32>, PathBuf);

/// Containers by their ids. It is read entry by entry: what was left out takes no memory.
#[derive(Debug, Default)]
struct ContainerList(HashMap<String, ListedContainer>);

/// A container as a containers.json lists it (containers/storage containers.go, `Container`).
#[derive(Debug, Deserialize)]
struct StoredContainer {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    /// Embedded JSON (podman libpod/storage.go, `RuntimeContainerMetadata`).
    #[serde(default)]
    metadata: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    image_name: String,
}

#[derive(Clone, Debug)]
struct ListedContainer {
    name: Option<String>,
    image: Option<String>,
}

impl Storage {
    /// What the bundle and the lists of a container say; `homes`: of the user who owns it.
    pub fn facts(&mut self, root: &Root, id: &str, homes: &[Home]) -> Vec<Facts> {
        let mut facts = Vec::new();
        for (number, storage) in OF_ROOT.iter().map(Path::new).enumerate() {
            let drivers = self.drivers[number].get(root, storage, drivers).cloned();
            self.of_drivers(root, (None, storage), &drivers.unwrap_or_default(), id, &mut facts);
        }
        for Home { root, uid, storage } in homes {
            self.of_drivers(root, (Some(*uid), storage), &drivers(root, storage), id, &mut facts);
        }
        facts
    }

    fn of_drivers(
        &mut self,
        root: &Root,
        (user, storage): (Option<u32>, &Path),
        drivers: &[&str],
        id: &str,
        facts: &mut Vec<Facts>,
    ) {
        for containers in drivers.iter().map(|driver| storage.join(of_driver(driver))) {
            let userdata = containers.join(id).join("userdata");
            facts.extend(BundleConfig::read(root, &userdata).map(|config| config.facts(id, None)));
            for list in LISTS.iter().map(|list| containers.join(list)) {
                let listed = self.list((user, list.clone())).get(root, &list, ContainerList::read);
                facts.extend(listed.and_then(|listed| listed.facts(id)));
            }
        }
    }

    /// One of the lists, in place of the one that has been of no use for longest.
    fn list(&mut self, place: ListOf) -> &mut Cached<ContainerList> {
        let found = self.lists.iter().position(|(kept, _)| *kept == place);
        let list = found.map(|found| self.lists.remove(found)).unwrap_or_else(|| (place, Cached::default()));
        let now = Instant::now();
        let of_use =
            |cached: &Cached<ContainerList>| cached.looked().is_some_and(|looked| now - looked < IDLE_MAX);
        self.lists.retain(|(_, cached)| of_use(cached));
        if self.lists.len() >= LISTS_MAX {
            self.lists.remove(0);
        }
        &mut self.lists.push_mut(list).1
    }
}

/// What a list of these bytes says about a container. Pure.
pub fn listed(content: &[u8], id: &str) -> Option<Facts> {
    ContainerList::parse(content).facts(id)
}

/// Those that have a directory.
fn drivers(root: &Root, storage: &Path) -> Vec<&'static str> {
    let used = |driver: &&str| root.stamp(&storage.join(of_driver(driver))).is_ok();
    DRIVERS.iter().copied().filter(used).collect()
}

fn of_driver(driver: &str) -> String {
    format!("{driver}-containers")
}

impl ContainerList {
    fn read(root: &Root, path: &Path) -> Self {
        Self::parse(&root.read(path).unwrap_or_default())
    }

    fn parse(content: &[u8]) -> Self {
        serde_json::from_slice(content).unwrap_or_default()
    }

    fn facts(&self, id: &str) -> Option<Facts> {
        let ListedContainer { name, image } = self.0.get(id)?.clone();
        Some(Facts { id: Some(id.to_owned()), name, image, ..Facts::of(FactSource::ContainersStorage) })
    }
}

impl<'de> Deserialize<'de> for ContainerList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ContainerListVisitor)
    }
}

struct ContainerListVisitor;

impl<'de> Visitor<'de> for ContainerListVisitor {
    type Value = ContainerList;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of containers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<ContainerList, A::Error> {
        let mut list = HashMap::new();
        while let Some(StoredContainer { id, names, metadata }) = entries.next_element()? {
            if id.len() == ID_LENGTH && list.len() < CONTAINERS_MAX {
                let metadata: Option<Metadata> = serde_json::from_str(&metadata).ok();
                let name = names.first().and_then(|name| text(name));
                let image = metadata.and_then(|metadata| text(&metadata.image_name));
                list.insert(id, ListedContainer { name, image });
            }
        }
        Ok(ContainerList(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_what_may_be_asked_for() {
        let id = "a".repeat(ID_LENGTH);
        let list = format!(
            r#"[{{"id":"{id}","names":["web"],"metadata":"{{\"image-name\":\"busybox:1\"}}"}},{{"id":"x"}}]"#
        );
        let ContainerList(list) = serde_json::from_str(&list).expect("a list");
        assert_eq!(list.len(), 1);
        let ListedContainer { name, image } = &list[&id];
        assert_eq!((name.as_deref(), image.as_deref()), (Some("web"), Some("busybox:1")));
    }

    #[test]
    fn lists_are_bounded_and_age() {
        let mut storage = Storage::default();
        for number in 0..LISTS_MAX as u32 * 2 {
            let place = (Some(number), PathBuf::from("containers.json"));
            storage.list(place).get(
                &Root::open(Path::new("/")).expect("a root"),
                Path::new("/"),
                ContainerList::read,
            );
        }
        assert_eq!(storage.lists.len(), LISTS_MAX);
        assert_eq!(storage.lists[0].0.0, Some(LISTS_MAX as u32));
    }
}
