//! The crates that a release is linked from: those of the loader and of the eBPF objects, without what only builds or tests them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::process;
use crate::workspace::{Workspace, cargo};

/// The packages whose dependencies are linked.
const LINKED: &[&str] = &["memcg-trace", "memcg-trace-ebpf"];

/// A crate of somebody else.
pub struct Crate {
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub license: String,
    pub repository: Option<String>,
    /// Of the package file, as Cargo.lock has it.
    pub sha256: String,
    /// Where its source is unpacked.
    pub directory: PathBuf,
    /// The crates that it links, by [`Crate::id`].
    pub dependencies: Vec<String>,
}

impl Crate {
    /// `NAME@VERSION`
    pub fn id(&self) -> String {
        id(&self.name, &self.version)
    }
}

fn id(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None`: neither `dev` nor `build`.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The crates that are linked for the architecture of the workspace, by name and version.
pub fn linked(workspace: &Workspace) -> Result<Vec<Crate>> {
    let mut command = cargo();
    command.current_dir(&workspace.root).args(["metadata", "--format-version", "1", "--locked"]);
    let metadata = process::capture(command.args(["--filter-platform", workspace.arch.triple]))?;
    let metadata = serde_json::from_str(&metadata).context("cannot read the output of `cargo metadata`")?;
    let path = workspace.root.join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    crates(&metadata, &toml::from_str(&lock).context("cannot read Cargo.lock")?)
}

fn crates(metadata: &Metadata, lock: &Lock) -> Result<Vec<Crate>> {
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (&*package.id, package)).collect();
    let linked: BTreeMap<&str, Vec<&str>> = metadata.resolve.nodes.iter().map(Node::linked).collect();
    let roots = packages.values().filter(|package| LINKED.contains(&&*package.name));
    let mut wanted: Vec<&str> = roots.map(|package| &*package.id).collect();
    let mut seen = BTreeSet::new();
    while let Some(next) = wanted.pop() {
        if seen.insert(next) {
            wanted.extend(linked.get(next).into_iter().flatten());
        }
    }
    let sums: BTreeMap<_, _> = lock
        .package
        .iter()
        .filter_map(|locked| Some((id(&locked.name, &locked.version), locked.checksum.as_ref()?)))
        .collect();
    let mut crates = Vec::new();
    for package in seen.iter().filter_map(|id| packages.get(id)).filter(|package| package.source.is_some()) {
        let id = id(&package.name, &package.version);
        let dependencies = linked.get(&*package.id).into_iter().flatten();
        let dependencies = dependencies.filter_map(|id| packages.get(id));
        let license = package.license.as_deref().with_context(|| format!("{id} has no license"))?;
        crates.push(Crate {
            name: package.name.clone(),
            version: package.version.clone(),
            // A `/` is how crates used to write OR.
            license: license.replace('/', " OR "),
            repository: package.repository.clone(),
            sha256: sums.get(&id).with_context(|| format!("Cargo.lock has no checksum of {id}"))?.to_string(),
            directory: package.manifest_path.with_file_name(""),
            dependencies: dependencies.map(|package| self::id(&package.name, &package.version)).collect(),
        });
    }
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(crates)
}

impl Node {
    /// Its package, and those that it links.
    fn linked(&self) -> (&str, Vec<&str>) {
        let linked = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        (&self.id, self.deps.iter().filter(linked).map(|dependency| &*dependency.pkg).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_and_tests_is_not_linked() {
        let package = |name: &str, source: Option<&str>| {
            serde_json::json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
                "repository": null, "manifest_path": format!("/{name}/Cargo.toml"), "source": source})
        };
        let depends =
            |on: &str, kind: Option<&str>| serde_json::json!({"pkg": on, "dep_kinds": [{"kind": kind}]});
        let metadata = serde_json::json!({
            "packages": [package("memcg-trace", None), package("a", Some("r")), package("b", Some("r")),
                package("builds", Some("r")), package("tests", Some("r")), package("other", Some("r"))],
            "resolve": {"nodes": [
                {"id": "memcg-trace", "deps": [depends("a", None), depends("builds", Some("build")),
                    depends("tests", Some("dev"))]},
                {"id": "a", "deps": [depends("b", None)]},
                {"id": "b", "deps": []},
            ]},
        });
        let metadata = serde_json::from_value(metadata).expect("metadata");
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"1a\"\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nchecksum = \"1b\"\n\
                    [[package]]\nname = \"memcg-trace\"\nversion = \"1.0.0\"\n";
        let crates = crates(&metadata, &toml::from_str(lock).expect("a lock")).expect("crates");
        let found: Vec<_> = crates
            .iter()
            .map(|found| (found.id(), &*found.license, &*found.sha256, &found.dependencies[..]))
            .collect();
        let a: (_, _, _, &[String]) =
            ("a@1.0.0".to_owned(), "MIT OR Apache-2.0", "1a", &["b@1.0.0".to_owned()]);
        assert_eq!(found, [a, ("b@1.0.0".to_owned(), "MIT OR Apache-2.0", "1b", &[])]);
    }
}
