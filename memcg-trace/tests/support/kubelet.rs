//! A pod as kubelet makes it with systemd, whose containers leave files behind.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process,
};

use super::{cgroup::Cgroup, pins::TmpfsFile};

const NAME: &str = "prod_backup-28374650-x7kzq";
const UID: &str = "0f1e2d3c-4b5a-4978-8695-666c65657421";

/// Of the workload `backup` in the namespace `prod`; its cgroups and its directory go with it.
pub struct Pod {
    /// The lowest first.
    cgroups: Vec<Cgroup>,
    root: PathBuf,
}

impl Pod {
    pub fn new() -> Self {
        let of_pod = format!("kubepods-pod{}.slice", UID.replace('-', "_"));
        let mut cgroups: Vec<Cgroup> = Vec::new();
        for name in ["memcg-trace-test.slice", "kubepods.slice", &of_pod] {
            let slice = match cgroups.last() {
                None => Cgroup::below_root(name),
                Some(above) => above.child(name),
            };
            slice.enable_memory();
            cgroups.push(slice);
        }
        cgroups.reverse();
        let root = std::env::temp_dir().join(format!("memcg-trace-test-node-{}", process::id()));
        fs::create_dir_all(root.join("var/log/pods").join(format!("{NAME}_{UID}"))).expect("mkdir");
        Self { cgroups, root }
    }

    /// What is known of it on the node: for `--host-root`.
    pub fn host_root(&self) -> &str {
        let root: &Path = &self.root;
        root.to_str().expect("a path in ASCII")
    }

    /// The node knows nothing of it any more: kubelet has removed what it had.
    pub fn forget(&self) {
        fs::remove_dir_all(self.root.join("var/log/pods")).expect("remove the directory of logs");
    }

    /// The series of its workload.
    pub fn series(metric: &str) -> String {
        format!("memcg_trace_workload_{metric}{{namespace=\"prod\",workload=\"backup\",kind=\"pod\"}}")
    }

    /// Containers that are gone, and the files that they left behind.
    pub fn leak(&self, numbers: Range<usize>) -> Vec<TmpfsFile> {
        let leak = |number| {
            let container = self.cgroups[0].child(format!("cri-containerd-{number:064x}.scope"));
            let file = TmpfsFile::written_in(&container);
            container.remove();
            file
        };
        numbers.map(leak).collect()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
