//! Landlock (since 5.13): what the threads that read others' files and write output never do to a file system.

use std::{fs, os::fd::AsFd, path::Path};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};

/// The newest rules that are asked for; an older kernel takes those that it knows. Not those of devices (V5): the screen asks
/// its terminal for its size.
const NEWEST: ABI = ABI::V4;

/// Directories in the root of a node where no runtime keeps anything: devices, which do something when they are opened, what the
/// kernel tells and is told, and the home of root.
const OUT_OF_BOUNDS: &[&str] = &["boot", "dev", "proc", "root", "sys"];

/// From now on, this thread and those that it starts open nothing for writing, create, remove, rename and run nothing.
/// What is open already stays usable, and sockets can be connected to. Returns the ABI; `None`: this kernel does not enforce it.
pub fn forbid_changes() -> Result<Option<i32>, RulesetError> {
    // No rule grants any of it anywhere.
    enforce(ruleset(AccessFs::from_write(NEWEST) | AccessFs::Execute)?)
}

/// The same, but for what is below a directory.
pub fn forbid_changes_elsewhere(directory: impl AsFd) -> Result<Option<i32>, RulesetError> {
    let changes = AccessFs::from_write(NEWEST);
    enforce(ruleset(changes | AccessFs::Execute)?.add_rule(PathBeneath::new(directory, changes))?)
}

/// As [`forbid_changes`], and nothing is read but below the directories that are in a node's root now, those left out that are
/// [`OUT_OF_BOUNDS`].
///
/// The runtimes' own places would be a narrower bound, and a wrong one: they appear when a runtime is installed, lie behind links
/// that lead anywhere, and homes are where /etc/passwd says at the time of the question. Rules cannot be added later.
pub fn read_only_below(root: &Path) -> Result<Option<i32>, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let within = |entry: &fs::DirEntry| {
        let out = OUT_OF_BOUNDS.iter().any(|name| entry.file_name() == *name);
        // What a link leads to is in another of these directories, or out of the root.
        !out && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    let directories = fs::read_dir(root).into_iter().flatten().flatten().filter(within);
    let rules = path_beneath_rules(directories.map(|entry| entry.path()), reading);
    enforce(ruleset(AccessFs::from_write(NEWEST) | AccessFs::Execute | reading)?.add_rules(rules)?)
}

/// Forbids these accesses, where no rule grants them.
fn ruleset(accesses: landlock::BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(accesses)?.create()
}

fn enforce(ruleset: RulesetCreated) -> Result<Option<i32>, RulesetError> {
    let restricted = ruleset.no_new_privs(true).restrict_self()?;
    let enforced = restricted.ruleset != RulesetStatus::NotEnforced;
    Ok(match restricted.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } if enforced => {
            Some(kernel_abi.unwrap_or(effective_abi as i32))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, ErrorKind},
        path::PathBuf,
        thread,
    };

    use super::*;

    /// A node's root: the same file in a place of runtimes, among devices, and beside the root.
    struct Node(PathBuf);

    impl Node {
        fn new(name: &str) -> Self {
            let node = Self(std::env::temp_dir().join(format!("memcg-trace-{name}-{}", std::process::id())));
            for directory in ["root/run", "root/dev", "beside"] {
                fs::create_dir_all(node.0.join(directory)).expect("a directory");
                fs::write(node.file(directory), "content").expect("a file");
            }
            node
        }

        fn file(&self, directory: &str) -> PathBuf {
            self.0.join(directory).join("file")
        }

        /// What a restricted thread gets when it reads each file, and when it writes and removes one.
        fn on_a_thread(
            &self,
            restrict: impl FnOnce(&Path) -> Result<Option<i32>, RulesetError> + Send,
        ) -> Vec<io::Result<()>> {
            thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    restrict(&self.0.join("root")).expect("a ruleset").expect("a kernel with Landlock");
                    let files = ["root/run", "root/dev", "beside"].map(|directory| self.file(directory));
                    let mut did: Vec<_> = files.iter().map(|file| fs::read(file).map(drop)).collect();
                    did.extend([fs::write(&files[0], "changed"), fs::remove_file(&files[0])]);
                    did
                });
                thread.join().expect("it goes on")
            })
        }
    }

    impl Drop for Node {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refused(did: &[io::Result<()>]) -> Vec<bool> {
        let is_refused = |result: &io::Result<()>| {
            result.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
        };
        did.iter().map(is_refused).collect()
    }

    #[test]
    fn files_are_read_and_not_changed() {
        let node = Node::new("landlock-changes");
        let did = node.on_a_thread(|_| forbid_changes());
        assert_eq!(refused(&did), [false, false, false, true, true]);
    }

    #[test]
    fn files_of_the_node_are_read_and_no_others() {
        let node = Node::new("landlock-reads");
        let did = node.on_a_thread(read_only_below);
        assert_eq!(refused(&did), [false, true, true, true, true]);
    }
}
