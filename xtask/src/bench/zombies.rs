//! Zombies of many pods, as of a workload whose pods leave files in a tmpfs, and the node that knows their names.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use anyhow::{Context as _, Result};

use super::churn::Churn;
use crate::process::pipe;

/// A directory with what kubelet leaves on a node; removed on drop.
pub struct Node {
    root: PathBuf,
}

impl Node {
    pub fn new(root: PathBuf) -> Result<Self> {
        fs::create_dir_all(root.join("var/log/pods"))
            .with_context(|| format!("cannot make {}", root.display()))?;
        Ok(Self { root })
    }

    /// For `--host-root`.
    pub fn root(&self) -> &str {
        self.root.to_str().unwrap_or_default()
    }

    /// A pod of one of a hundred workloads has its directory of logs.
    fn add(&self, number: usize) -> Result<()> {
        let name = format!("prod_job{}-x7kzq_{}", number % 100, uid(number));
        let path = self.root.join("var/log/pods").join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            eprintln!("xtask: cannot remove {}: {error}", self.root.display());
        }
    }
}

fn uid(number: usize) -> String {
    format!("0f1e2d3c-4b5a-4978-8695-{number:012x}")
}

/// Cgroups of pods and containers that are gone, each of them pinned by a page; freed on drop.
pub struct Zombies {
    pods: usize,
    /// In a tmpfs.
    files: PathBuf,
}

/// Enters each cgroup, and writes a file there: built-in commands only, for a process more would take a while.
const WRITER: &str =
    "while read -r cgroup file; do echo 0 >\"$cgroup/cgroup.procs\" && echo page >\"$file\"; done";

impl Zombies {
    /// Makes so many pods with a container each, and removes them.
    pub fn leave(churn: &Churn, node: &Node, pods: usize) -> Result<Self> {
        let files = PathBuf::from(format!("/dev/shm/memcg-trace-bench.{}", process::id()));
        fs::create_dir(&files).with_context(|| format!("cannot make {}", files.display()))?;
        let zombies = Self { pods, files };
        let mut cgroups = Cgroups::new(churn);
        cgroups.above("kubepods")?;
        cgroups.above("kubepods/burstable")?;
        let mut list = String::new();
        for number in 0..pods {
            node.add(number)?;
            let pod = format!("kubepods/burstable/pod{}", uid(number));
            let container = format!("{pod}/{number:064x}");
            cgroups.above(&pod)?;
            cgroups.make(&container)?;
            let file = zombies.files.join(number.to_string());
            // Writing to a String cannot fail.
            let _ = writeln!(list, "{} {}", churn.path().join(&container).display(), file.display());
        }
        pipe(Command::new("sh").args(["-c", WRITER]), list.as_bytes())?;
        drop(cgroups);
        Ok(zombies)
    }

    pub fn count(&self) -> usize {
        2 * self.pods
    }
}

impl Drop for Zombies {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.files) {
            eprintln!("xtask: cannot remove {}: {error}", self.files.display());
        }
    }
}

/// Cgroups, removed on drop, the last one first.
pub struct Cgroups<'a> {
    churn: &'a Churn,
    made: Vec<String>,
}

impl<'a> Cgroups<'a> {
    pub fn new(churn: &'a Churn) -> Self {
        Self { churn, made: Vec::new() }
    }

    pub fn make(&mut self, name: &str) -> Result<()> {
        self.churn.make(name)?;
        self.made.push(name.to_owned());
        Ok(())
    }

    /// One whose children have memcgs.
    fn above(&mut self, name: &str) -> Result<()> {
        self.make(name)?;
        self.churn.delegate(name)
    }
}

impl Drop for Cgroups<'_> {
    fn drop(&mut self) {
        for name in self.made.iter().rev() {
            if let Err(error) = self.churn.remove(name) {
                eprintln!("xtask: {error:#}");
            }
        }
    }
}
