//! Answers a question from all sources on the node.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    bundle::{BundleConfig, CONTAINERDS, Containerd, runtime_of_namespace},
    cached::Cached,
    docker,
    kubelet::Kubelet,
    node_root::Root,
    runc,
    sockets::Sockets,
    storage::{Home, Storage},
};
use crate::attribution::{Facts, Question, Role, Runtime, unit_of_path};

/// The node, as far as it knows names.
pub struct NameSources {
    root: Root,
    /// Namespaces of each containerd.
    namespaces: [Cached<Vec<String>>; CONTAINERDS.len()],
    storage: Storage,
    runc: runc::States,
    /// Homes of the node's users, by uid.
    accounts: Cached<HashMap<u32, PathBuf>>,
    kubelet: Kubelet,
    sockets: Sockets,
    /// Time of the last check for a runtime that accepts any name, and its result.
    any_name: Option<(Instant, bool)>,
}

/// A bundle and its owner.
struct FoundBundle {
    containerd: &'static Containerd,
    namespace: String,
    config: BundleConfig,
}

impl NameSources {
    /// The node whose root directory is mounted at `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(root)?,
            namespaces: Default::default(),
            storage: Storage::default(),
            runc: runc::States::default(),
            accounts: Cached::default(),
            kubelet: Kubelet::default(),
            sockets: Sockets::default(),
            any_name: None,
        })
    }

    /// Whether there is a runtime whose containers can have any path: otherwise a path without a container id can be
    /// skipped.
    pub fn takes_any_name(&mut self) -> bool {
        const GOOD_FOR: Duration = Duration::from_millis(100);
        match self.any_name {
            Some((looked, here)) if looked.elapsed() < GOOD_FOR => here,
            _ => {
                let places = CONTAINERDS.iter().map(Containerd::tasks).chain([PathBuf::from(runc::STATE)]);
                let users = list(&self.root, Path::new(runc::USERS));
                let of_users = users.iter().map(|user| Path::new(runc::USERS).join(user).join("runc"));
                let here = places.chain(of_users).any(|place| self.root.stamp(&place).is_ok());
                self.any_name = Some((Instant::now(), here));
                here
            }
        }
    }

    /// The last question took too long: there may be more to find.
    pub fn ran_out_of_time(&self) -> bool {
        self.root.ran_out_of_time()
    }

    /// What files say, best first.
    pub fn files(&mut self, question: &Question) -> Vec<Facts> {
        self.root.begin();
        let mut facts = Vec::new();
        for (id, runtime) in &question.ids {
            self.container(id, *runtime, question, &mut facts);
        }
        if question.ids.is_empty() && question.pod_uid.is_none() {
            facts.extend(self.by_path(question));
        }
        if facts.is_empty() {
            facts.extend(runc::facts(&self.root, &mut self.runc, question));
        }
        let uid = question.pod_uid.as_deref().filter(|_| !facts.iter().any(|facts| facts.pod.is_some()));
        facts.extend(uid.and_then(|uid| self.kubelet.pod(&self.root, uid)));
        facts
    }

    /// Facts from the runtime's socket about an existing container, where files did not have them.
    pub fn sockets(&mut self, question: &Question, known: &[Facts]) -> Vec<Facts> {
        self.root.begin();
        let by_path = || known.iter().find_map(|facts| Some((facts.id.clone()?, facts.runtime)));
        let ids =
            if question.ids.is_empty() { by_path().into_iter().collect() } else { question.ids.clone() };
        let mut facts = Vec::new();
        for (id, runtime) in ids {
            let known: Vec<&Facts> = known.iter().filter(|facts| facts.id.as_deref() == Some(&id)).collect();
            if is_complete(&known) {
                continue;
            }
            let runtime = known.iter().find_map(|facts| facts.runtime).or(runtime);
            if runtime == Some(Runtime::Docker) {
                facts.extend(self.sockets.docker(&self.root, &id));
                continue;
            }
            if runtime == Some(Runtime::Containerd)
                && let Some(FoundBundle { containerd, namespace, .. }) = self.bundle(&id, question)
            {
                facts.extend(self.sockets.containerd(&self.root, containerd.socket, &namespace, &id));
            } else if question.pod_uid.is_some() {
                facts.extend(self.sockets.cri(&self.root, &id));
            }
        }
        facts
    }

    fn container(&mut self, id: &str, runtime: Option<Runtime>, question: &Question, facts: &mut Vec<Facts>) {
        let from = facts.len();
        // If the path names the runtime, do not read the files of others.
        let may_be = |runtimes: &[Runtime]| runtime.is_none_or(|runtime| runtimes.contains(&runtime));
        let complete = |facts: &[Facts]| is_complete(&facts[from..].iter().collect::<Vec<_>>());
        if may_be(&[Runtime::Containerd, Runtime::Docker])
            && let Some(FoundBundle { namespace, config, .. }) = self.bundle(id, question)
        {
            facts.push(config.facts(id, Some(runtime_of_namespace(&namespace))));
        }
        if may_be(&[Runtime::Docker]) && !complete(facts) {
            facts.extend(docker::config(&self.root, id));
        }
        if may_be(&[Runtime::Podman, Runtime::CriO]) && !complete(facts) {
            let homes = self.homes(question);
            facts.extend(self.storage.facts(&self.root, id, &homes));
        }
        if may_be(&[Runtime::Containerd, Runtime::CriO, Runtime::Docker]) && !complete(facts) {
            facts.extend(self.kubelet.container(&self.root, id));
        }
    }

    /// The bundle of a container. An id that two namespaces have is not told apart by it, but by the path.
    fn bundle(&mut self, id: &str, question: &Question) -> Option<FoundBundle> {
        let mut found = None;
        for (containerd, namespaces) in CONTAINERDS.iter().zip(&mut self.namespaces) {
            let tasks = containerd.tasks();
            let namespaces = namespaces.get(&self.root, &tasks, list);
            for namespace in namespaces.into_iter().flatten() {
                let Some(config) = BundleConfig::read(&self.root, &tasks.join(namespace).join(id)) else {
                    continue;
                };
                let owns = !config.linux.cgroups_path.is_empty()
                    && question.path.starts_with(config.linux.cgroups_path.as_bytes());
                if owns || found.is_none() {
                    found = Some(FoundBundle { containerd, namespace: namespace.clone(), config });
                }
                if owns {
                    return found;
                }
            }
        }
        found
    }

    /// A container of any name in `/<namespace>/<name>`, where containerd puts those of ctr (pkg/oci/spec.go,
    /// `CgroupsPath`): its bundle must have this cgroup path.
    fn by_path(&mut self, question: &Question) -> Option<Facts> {
        let mut components = question.components();
        let (namespace, id) = (components.next()?, components.next().filter(|id| !id.is_empty())?);
        CONTAINERDS.iter().zip(&mut self.namespaces).find_map(|(containerd, namespaces)| {
            let tasks = containerd.tasks();
            let namespaces = namespaces.get(&self.root, &tasks, list)?;
            if !namespaces.iter().any(|known| known == namespace) {
                return None;
            }
            let config = BundleConfig::read(&self.root, &tasks.join(namespace).join(id))?;
            (config.linux.cgroups_path == format!("/{namespace}/{id}")).then(|| {
                let facts = config.facts(id, Some(runtime_of_namespace(namespace)));
                // In ctr the id is the name.
                let name = facts.name.or_else(|| Some(id.to_owned()));
                Facts { name, role: facts.role.or(Some(Role::Workload)), ..facts }
            })
        })
    }

    /// Directories of podman for the containers of the user who owns the cgroup (containers/storage
    /// docs/containers-storage.conf.5.md, rootless).
    fn homes(&mut self, question: &Question) -> Vec<Home> {
        let Some(uid) = unit_of_path(&question.path).and_then(|unit| unit.user) else { return Vec::new() };
        let accounts = self.accounts.get(&self.root, Path::new("/etc/passwd"), accounts);
        let home = accounts.and_then(|accounts| accounts.get(&uid).cloned());
        let runtime = Path::new(runc::USERS).join(uid.to_string());
        let places = [
            home.map(|home| (home, Path::new(".local/share/containers/storage"))),
            Some((runtime, Path::new("containers"))),
        ];
        let open = |(directory, storage): (PathBuf, &Path)| {
            Some(Home { root: self.root.of_user(&directory, uid).ok()?, uid, storage: storage.to_owned() })
        };
        places.into_iter().flatten().filter_map(open).collect()
    }
}

/// Homes by uid (passwd(5)).
fn accounts(root: &Root, path: &Path) -> HashMap<u32, PathBuf> {
    let accounts = root.read(path).unwrap_or_default();
    let account = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, uid, _, _, home, ..] = fields.as_slice() else { return None };
        Some((uid.parse().ok()?, PathBuf::from(home)))
    };
    // The first of a uid counts: it is inserted last.
    String::from_utf8_lossy(&accounts).lines().rev().filter_map(account).collect()
}

fn list(root: &Root, path: &Path) -> Vec<String> {
    root.list(path).unwrap_or_default()
}

/// Whether these facts about a container are complete.
fn is_complete(facts: &[&Facts]) -> bool {
    let known = |fact: fn(&Facts) -> bool| facts.iter().any(|facts| fact(facts));
    // A sandbox has no name of its own, and its image is not of interest.
    let sandbox = known(|facts| facts.role == Some(Role::Sandbox));
    let named = known(|facts| facts.name.is_some()) && known(|facts| facts.image.is_some());
    known(|facts| facts.runtime.is_some()) && (sandbox || named)
}
