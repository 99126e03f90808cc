//! Standalone runc: its state files of containers.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::Deserialize;

use super::{bundle::BundleConfig, cached::Cached, node_root::Root};
use crate::attribution::{FactSource, Facts, Question, Runtime, unit_of_path};

/// `--root` of root, as runc's manual says.
pub const STATE: &str = "/run/runc";
/// Those of other users are below a directory per user.
pub const USERS: &str = "/run/user";

/// The fields read from a state.json (runc libcontainer/container_linux.go, `State`).
#[derive(Debug, Deserialize)]
struct RuncState {
    #[serde(default)]
    cgroup_paths: HashMap<String, String>,
    config: RuncSettings,
}

#[derive(Debug, Deserialize)]
struct RuncSettings {
    /// The annotations of the bundle, and its path.
    #[serde(default)]
    labels: Vec<String>,
}

/// Which containers root's runc has.
pub type States = Cached<HashSet<String>>;

/// The container whose state says that this very cgroup is its own. runc takes any name for a container; by default the
/// cgroup is named after it, with systemd `<prefix>-<name>.scope`.
pub fn facts(root: &Root, states: &mut States, question: &Question) -> Vec<Facts> {
    let Some(last) = question.components().next_back().filter(|name| !name.is_empty()) else {
        return Vec::new();
    };
    let scope = last.strip_suffix(".scope").and_then(|scope| scope.split_once('-')).map(|(_, name)| name);
    let names = || [Some(last), scope].into_iter().flatten();
    let listing = |root: &Root, path: &Path| root.list(path).unwrap_or_default().into_iter().collect();
    let states = states.get(root, Path::new(STATE), listing);
    let known = |id: &&str| states.is_some_and(|states| states.contains(*id));
    let of_root = || names().filter(known).find_map(|id| of_state(root, Path::new(STATE), id, question));
    let of_user = || {
        let uid = unit_of_path(&question.path).and_then(|unit| unit.user)?;
        let user = root.of_user(&Path::new(USERS).join(uid.to_string()), uid).ok()?;
        names().find_map(|id| of_state(&user, Path::new("runc"), id, question))
    };
    of_root().or_else(of_user).unwrap_or_default()
}

fn of_state(root: &Root, states: &Path, id: &str, question: &Question) -> Option<Vec<Facts>> {
    let content = root.read(&states.join(id).join("state.json")).ok()?;
    let state: RuncState = serde_json::from_slice(&content).ok()?;
    let cgroup = |controller: &str, mount: &str| state.cgroup_paths.get(controller)?.strip_prefix(mount);
    // v1 has a hierarchy for the memory controller, v2 one for all controllers.
    let cgroup = cgroup("memory", "/sys/fs/cgroup/memory").or_else(|| cgroup("", "/sys/fs/cgroup"))?;
    if cgroup.as_bytes() != &*question.path {
        return None;
    }
    let id = id.to_owned();
    let annotations = state.config.labels.iter().filter_map(|label| label.split_once('='));
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let annotated = BundleConfig { annotations, ..BundleConfig::default() }.facts(&id, Some(Runtime::Runc));
    // The id is the name, unless the annotations have a better one.
    let name = Facts { name: Some(id.clone()), ..Facts::of(FactSource::RuncState) };
    Some(vec![Facts { source: FactSource::RuncState, ..annotated }, Facts { id: Some(id), ..name }])
}
