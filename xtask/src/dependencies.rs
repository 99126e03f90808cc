//! A step of `cargo xtask test`: dependencies are what deny.toml allows. It says why cargo-deny is not what runs here.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::process;
use crate::workspace::{Workspace, cargo};

/// The part of deny.toml that is checked here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

/// Licences that one crate may have.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

/// A version that may be there beside another: `name@1` or `name@1.2`.
#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    spec: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package of the dependency graph, as `cargo metadata` describes it.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// `None`: a member of the workspace.
    source: Option<String>,
}

/// Checks the packages of Cargo.lock that a build for this machine takes. They are here once it was built.
pub fn check(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join("deny.toml");
    let rules = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rules: Rules = toml::from_str(&rules).with_context(|| format!("cannot read {}", path.display()))?;
    let mut command = cargo();
    command.current_dir(&workspace.root).args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    let metadata = process::capture(command.args(["--filter-platform", workspace.arch.triple]))?;
    let metadata: Metadata =
        serde_json::from_str(&metadata).context("cannot read the output of `cargo metadata`")?;
    let objections = objections(&rules, &metadata.packages);
    if !objections.is_empty() {
        bail!("deny.toml does not allow this:\n{}", objections.join("\n"));
    }
    Ok(())
}

fn objections(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut objections = Vec::new();
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for Package { name, version, license, source } in packages {
        let exceptions = rules.licenses.exceptions.iter().filter(|exception| exception.name == *name);
        let allowed: Vec<_> =
            rules.licenses.allow.iter().chain(exceptions.flat_map(|exception| &exception.allow)).collect();
        let license = license.as_deref().unwrap_or("no licence");
        if !is_met(license, &|id| allowed.iter().any(|allowed| *allowed == id)) {
            objections.push(format!("{name} {version} is under {license}"));
        }
        let allowed = |source: &str| {
            let registries = &rules.sources.allow_registry;
            registries.iter().any(|registry| source.strip_prefix("registry+") == Some(registry))
        };
        if let Some(source) = source.as_deref().filter(|source| !allowed(source)) {
            objections.push(format!("{name} {version} comes from {source}"));
        }
        if !rules.bans.skip.iter().any(|skip| skip.is(name, version)) {
            versions.entry(name).or_default().push(version);
        }
    }
    let doubled = versions.iter().filter(|(_, versions)| versions.len() > 1);
    objections
        .extend(doubled.map(|(name, versions)| format!("{name} is there as {}", versions.join(" and "))));
    let exceptions = rules.licenses.exceptions.iter();
    let stale = exceptions.filter(|exception| packages.iter().all(|package| package.name != exception.name));
    objections.extend(stale.map(|exception| format!("{} is excepted and not there", exception.name)));
    let stale = rules.bans.skip.iter().filter(|skip| {
        let package = |package: &Package| skip.is(&package.name, &package.version);
        !packages.iter().any(package)
    });
    objections.extend(stale.map(|skip| format!("{} is skipped and not there", skip.spec)));
    objections
}

impl Skip {
    fn is(&self, name: &str, version: &str) -> bool {
        let Some((skipped, prefix)) = self.spec.split_once('@') else { return false };
        let rest = version.strip_prefix(prefix);
        skipped == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Whether an SPDX expression is met by licences that are `allowed`. A `/` is how crates used to write OR.
fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    match words.next() {
        Some("(") => {
            let met = any(words, allowed);
            words.next() == Some(")") && met
        }
        Some(id) if words.next_if_eq(&"WITH").is_some() => {
            words.next().is_some_and(|exception| allowed(&format!("{id} WITH {exception}")))
        }
        Some(id) => allowed(id),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        let allowed = |id: &str| ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].contains(&id);
        for (expression, met) in [
            ("MIT", true),
            ("GPL-2.0-only", false),
            ("MIT OR GPL-2.0-only", true),
            ("Apache-2.0/MIT", true),
            ("MIT AND GPL-2.0-only", false),
            ("GPL-2.0-only OR MIT AND Zlib", true),
            ("(GPL-2.0-only OR MIT) AND Unicode-3.0", false),
            ("(GPL-2.0-only OR MIT) AND Zlib", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("(MIT", false),
            ("MIT Zlib", false),
            ("", false),
        ] {
            assert_eq!(is_met(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn what_is_objected_to() {
        let rules = r#"
            [licenses]
            allow = ["MIT"]
            exceptions = [{ crate = "tables", allow = ["Unicode-3.0"] }, { crate = "gone", allow = ["Zlib"] }]
            [bans]
            skip = [{ crate = "old@1", reason = "…" }, { crate = "old@3", reason = "…" }]
            [sources]
            allow-registry = ["https://registry"]
        "#;
        let rules: Rules = toml::from_str(rules).expect("rules");
        let package = |name: &str, version: &str, license: &str, source: Option<&str>| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: Some(license.to_owned()),
            source: source.map(str::to_owned),
        };
        let registry = Some("registry+https://registry");
        let packages = [
            package("ours", "0.1.0", "MIT", None),
            package("tables", "1.0.0", "MIT AND Unicode-3.0", registry),
            package("old", "1.2.3", "MIT", registry),
            package("old", "2.0.0", "MIT", registry),
            package("twice", "1.0.0", "MIT", registry),
            package("twice", "10.0.0", "MIT", registry),
            package("closed", "1.0.0", "Unicode-3.0", registry),
            package("fork", "1.0.0", "MIT", Some("git+https://elsewhere")),
        ];
        assert_eq!(
            objections(&rules, &packages),
            [
                "closed 1.0.0 is under Unicode-3.0",
                "fork 1.0.0 comes from git+https://elsewhere",
                "twice is there as 1.0.0 and 10.0.0",
                "gone is excepted and not there",
                "old@3 is skipped and not there",
            ]
        );
    }
}
