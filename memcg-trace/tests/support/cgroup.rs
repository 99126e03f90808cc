//! Cgroups in the hierarchy of the memory controller, and tasks in them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus},
};

use super::eventually;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// Version and mount point of the memory controller's hierarchy.
pub fn hierarchy() -> (Version, PathBuf) {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.join("cgroup.procs").exists() {
        return (Version::V1, v1.to_owned());
    }
    let v2 = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_to_string(v2.join("cgroup.controllers")).unwrap_or_default();
    assert!(
        controllers.split_whitespace().any(|controller| controller == "memory"),
        "no memory controller in {} nor {}",
        v1.display(),
        v2.display()
    );
    (Version::V2, v2.to_owned())
}

/// A cgroup; removed with its descendants, even if the test fails.
pub struct Cgroup {
    directory: PathBuf,
    path: String,
}

impl Cgroup {
    /// A cgroup below the root for one test: its children have memcgs.
    pub fn home(test: &str) -> Self {
        let home = Self::below_root(&format!("memcg-trace-test-{test}-{}", process::id()));
        home.enable_memory();
        home
    }

    pub fn below_root(name: &str) -> Self {
        Self::create(hierarchy().1.join(name), format!("/{name}"))
    }

    pub fn child(&self, name: impl AsRef<OsStr>) -> Self {
        let name = name.as_ref();
        Self::create(self.directory.join(name), format!("{}/{}", self.path, name.to_string_lossy()))
    }

    fn create(directory: PathBuf, path: String) -> Self {
        fs::create_dir(&directory).unwrap_or_else(|error| panic!("mkdir {}: {error}", directory.display()));
        Self { directory, path }
    }

    /// v2: the children have memcgs. On v1 they always do.
    pub fn enable_memory(&self) {
        if hierarchy().0 == Version::V2 {
            self.write("cgroup.subtree_control", "+memory");
        }
    }

    pub fn disable_memory(&self) {
        self.write("cgroup.subtree_control", "-memory");
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Path from the root of the hierarchy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The cgroup id.
    pub fn id(&self) -> u64 {
        fs::metadata(&self.directory).expect("the cgroup's directory").ino()
    }

    pub fn read(&self, file: &str) -> String {
        let file = self.directory.join(file);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
    }

    pub fn write(&self, file: &str, text: &str) {
        self.try_write(file, text)
            .unwrap_or_else(|error| panic!("write {text:?} to {file} of {}: {error}", self.path));
    }

    pub fn try_write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.directory.join(file), text)
    }

    /// rmdir. Waits for tasks that are exiting.
    pub fn remove(&self) {
        eventually(&format!("rmdir {}", self.path), || {
            fs::remove_dir(&self.directory).map_err(|error| error.to_string())
        });
    }

    /// Lets the kernel reclaim what it can, including pages of programs and libraries that were first read here, which
    /// are not pins of a test.
    pub fn reclaim(&self) {
        reclaim(&self.directory);
    }

    /// Makes a command start inside.
    pub fn hosts<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let_join(&self.directory, command)
    }

    /// Starts a command inside.
    pub fn spawn(&self, command: &mut Command) -> Task {
        Task(
            self.hosts(command)
                .spawn()
                .unwrap_or_else(|error| panic!("run {command:?} in {}: {error}", self.path)),
        )
    }

    /// Runs a command inside until it exits.
    pub fn run(&self, command: &mut Command) {
        let status = self.spawn(command).wait();
        assert!(status.success(), "{command:?} in {}: {status}", self.path);
    }

    /// Runs a trivial command.
    pub fn run_something(&self) {
        self.run(&mut Command::new("true"));
    }
}

/// Lets the kernel reclaim from this cgroup and all descendants, including dead ones.
pub fn reclaim(directory: &Path) {
    // Fails if not all can be reclaimed.
    let _ = match hierarchy().0 {
        Version::V1 => fs::write(directory.join("memory.force_empty"), "0"),
        Version::V2 => {
            let high = directory.join("memory.high");
            fs::write(&high, "0").and_then(|()| fs::write(&high, "max"))
        }
    };
}

/// Lets a command start in the cgroup of this directory.
pub fn let_join<'a>(directory: &Path, command: &'a mut Command) -> &'a mut Command {
    let mut procs = File::options().write(true).open(directory.join("cgroup.procs")).expect("cgroup.procs");
    let join = move || procs.write_all(b"0");
    // SAFETY: after the fork it writes one byte to an open file, nothing else.
    unsafe { command.pre_exec(join) }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A test that fails leaves tasks that are being killed.
        for _ in 0..500 {
            remove_tree(&self.directory);
            if !self.directory.exists() {
                return;
            }
            std::thread::sleep(super::PAUSE);
        }
        eprintln!("cannot remove {}", self.directory.display());
    }
}

fn remove_tree(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir())) {
        remove_tree(&entry.path());
    }
    // Errors show up when the directory is used.
    let _ = fs::remove_dir(directory);
}

/// A process started by the test; killed at its end.
pub struct Task(pub Child);

impl Task {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn wait(mut self) -> ExitStatus {
        self.0.wait().expect("wait for a child")
    }

    /// Moves it out of its cgroup, to the root of the hierarchy.
    pub fn move_to_root(&self) {
        let procs = hierarchy().1.join("cgroup.procs");
        fs::write(procs, self.pid().to_string()).expect("move a task to the root cgroup");
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Fails if it has already exited, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
