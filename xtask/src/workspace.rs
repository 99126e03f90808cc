//! Paths in the checkout and in its target directory.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::arch::Arch;
use crate::process;

/// The checkout and cargo's target directory, according to cargo.
#[derive(Clone, Deserialize)]
pub struct Workspace {
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
    packages: Vec<Package>,
    #[serde(skip)]
    pub profile: Profile,
    /// What programs are built for.
    #[serde(skip, default = "Arch::host")]
    pub arch: &'static Arch,
}

/// How programs are built that run elsewhere than in cargo's own tests (Cargo.toml).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// As `cargo xtask run` runs them.
    #[default]
    Release,
    /// As packages have them.
    Dist,
    /// In a third of the time.
    Integration,
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dist => "dist",
            Self::Integration => "integration",
        }
    }
}

#[derive(Clone, Deserialize)]
struct Package {
    targets: Vec<Target>,
}

/// A target of cargo, from its JSON metadata.
#[derive(Clone, Deserialize)]
pub struct Target {
    pub name: String,
    kind: Vec<String>,
}

impl Target {
    /// Whether it is a file in `tests/`.
    pub fn is_integration_test(&self) -> bool {
        self.kind.iter().any(|kind| kind == "test")
    }
}

impl Workspace {
    /// The checkout of the current directory.
    pub fn find() -> Result<Self> {
        Self::at(Path::new("."))
    }

    /// The checkout at `dir`. Asks cargo, which knows about `CARGO_TARGET_DIR` and `build.target-dir`.
    pub fn at(dir: &Path) -> Result<Self> {
        let mut metadata = cargo();
        metadata.current_dir(dir).args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = process::capture(&mut metadata)?;
        serde_json::from_str(&metadata).context("cannot read the output of `cargo metadata`")
    }

    /// The same, with programs built in another way.
    pub fn with(&self, profile: Profile) -> Self {
        Self { profile, ..self.clone() }
    }

    /// The same, with programs built for another architecture.
    pub fn on(&self, arch: &'static Arch) -> Self {
        Self { arch, ..self.clone() }
    }

    /// The integration tests of all packages (`tests/*.rs`).
    pub fn integration_tests(&self) -> impl Iterator<Item = &str> {
        let targets = self.packages.iter().flat_map(|package| &package.targets);
        targets
            .filter(|target| target.kind.iter().any(|kind| kind == "test"))
            .map(|target| target.name.as_str())
    }

    /// Directory for xtask's own state.
    pub fn scratch(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// Directory of the eBPF objects to embed, where memcg-trace/build.rs looks for them.
    pub fn objects(&self) -> PathBuf {
        self.target.join("ebpf").join(self.arch.name)
    }

    /// The static loader as cargo leaves it.
    pub fn built(&self) -> PathBuf {
        self.target.join(self.arch.triple).join(self.profile.name()).join("memcg-trace")
    }

    /// The static loader with its objects embedded; that of this machine is where cargo puts what it builds by default.
    pub fn loader(&self) -> PathBuf {
        let directory =
            if self.arch.is_host() { self.target.clone() } else { self.target.join(self.arch.triple) };
        directory.join(self.profile.name()).join("memcg-trace")
    }
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
