//! containers/storage, where podman and CRI-O keep their containers.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{bundle::Config, cache::Cached, kubernetes::text, root::Root};
use crate::attribution::{FactSource, Facts};

/// Directories of root: volatile and persistent. containers/storage docs/containers-storage.conf.5.md.
const OF_ROOT: &[&str] = &["/run/containers/storage", "/var/lib/containers/storage"];

/// The cached lists.
#[derive(Debug, Default)]
pub struct Storage {
    drivers: HashMap<PathBuf, Cached<Vec<String>>>,
    lists: HashMap<PathBuf, Cached<HashMap<String, Listed>>>,
}

/// A container in a containers.json (containers/storage containers.go, `Container`).
#[derive(Debug, Deserialize)]
struct Entry {
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
struct Listed {
    name: Option<String>,
    image: Option<String>,
}

impl Storage {
    /// Facts from the bundle and the lists; `homes`: directories of the user who owns the container.
    pub fn facts(&mut self, root: &Root, id: &str, homes: &[PathBuf]) -> Vec<Facts> {
        let mut facts = Vec::new();
        for storage in OF_ROOT.iter().map(Path::new).chain(homes.iter().map(PathBuf::as_path)) {
            let drivers = self.drivers.entry(storage.to_owned()).or_default();
            let drivers = drivers.get(root, storage, |root, path| {
                let names = root.list(path).unwrap_or_default();
                names.into_iter().filter(|name| name.ends_with("-containers")).collect()
            });
            for driver in drivers.into_iter().flatten() {
                let containers = storage.join(driver);
                let userdata = containers.join(id).join("userdata");
                facts.extend(Config::read(root, &userdata).map(|config| config.facts(id, None)));
                for list in ["containers.json", "volatile-containers.json"] {
                    let list = containers.join(list);
                    let listed = self.lists.entry(list.clone()).or_default().get(root, &list, read_list);
                    let listed = listed.and_then(|listed| listed.get(id)).cloned();
                    facts.extend(listed.map(|Listed { name, image }| {
                        let id = Some(id.to_owned());
                        Facts { id, name, image, ..Facts::of(FactSource::ContainersStorage) }
                    }));
                }
            }
        }
        facts
    }
}

fn read_list(root: &Root, path: &Path) -> HashMap<String, Listed> {
    let content = root.read(path).unwrap_or_default();
    let entries: Vec<Entry> = serde_json::from_slice(&content).unwrap_or_default();
    let listed = |entry: Entry| {
        let metadata: Option<Metadata> = serde_json::from_str(&entry.metadata).ok();
        let name = entry.names.first().and_then(|name| text(name));
        let image = metadata.and_then(|metadata| text(&metadata.image_name));
        (entry.id, Listed { name, image })
    };
    entries.into_iter().map(listed).collect()
}
