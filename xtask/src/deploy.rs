//! A step of `cargo xtask test`: what is in deploy/ is what the programs accept that will read it, and speaks of metrics that
//! exist. Nothing of it is started; `memcg-trace/tests/native/fleet.rs` does that.

mod schemas;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use self::schemas::Schemas;
use crate::process;
use crate::workspace::Workspace;

/// A page of metrics, in the form that the tests compare.
const PAGE: &str = "memcg-trace/tests/golden/metrics.prom";
/// Files that speak of metrics.
const READERS: &[&str] = &[
    "deploy/prometheus/rules.yaml",
    "deploy/prometheus/rules_test.yaml",
    "deploy/grafana/fleet.json",
    "deploy/grafana/node.json",
    "docs/FLEET.md",
];
const DASHBOARDS: &[&str] = &["deploy/grafana/fleet.json", "deploy/grafana/node.json"];
const PLUGIN: &str = "deploy/node-problem-detector/memcg-trace.json";
const UNIT: &str = "deploy/systemd/memcg-trace.service";
const OF_DEBIAN: &str = "deploy/systemd/debian.conf";
/// Where the unit expects the binary.
const INSTALLED: &str = "/usr/bin/memcg-trace";

pub fn check(workspace: &Workspace) -> Result<()> {
    let path = |name: &str| workspace.root.join(name);
    let page = File::open(path(PAGE)).with_context(|| format!("cannot open {PAGE}"))?;
    process::run(Command::new("promtool").args(["check", "metrics"]).stdin(page))?;
    process::run(
        Command::new("promtool").args(["check", "rules"]).arg(path("deploy/prometheus/rules.yaml")),
    )?;
    process::run(
        Command::new("promtool").args(["test", "rules"]).arg(path("deploy/prometheus/rules_test.yaml")),
    )?;
    process::run(
        Command::new("amtool").arg("check-config").arg(path("deploy/prometheus/alertmanager.yaml")),
    )?;
    serde_json::from_str::<serde_json::Value>(&read(workspace, PLUGIN)?)
        .with_context(|| format!("{PLUGIN}: no JSON"))?;
    metrics_exist(workspace)?;
    runbooks_exist(workspace)?;
    let schemas = Schemas::ensure(workspace)?;
    let dashboards: Vec<_> = DASHBOARDS.iter().map(|name| path(name)).collect();
    schemas.dashboards(&dashboards)?;
    schemas.manifests(&manifests(workspace)?)?;
    unit(workspace)
}

fn read(workspace: &Workspace, name: &str) -> Result<String> {
    fs::read_to_string(workspace.root.join(name)).with_context(|| format!("cannot read {name}"))
}

/// The names of metrics in a text; `memcg_trace_workload_…` in prose is none.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("memcg_trace_") && !word.ends_with('_')).collect()
}

/// Every metric that somebody reads is on the page, and the documentation has every one of the page.
fn metrics_exist(workspace: &Workspace) -> Result<()> {
    let page = read(workspace, PAGE)?;
    let shown = metrics(&page);
    for name in READERS {
        let text = read(workspace, name)?;
        let unknown: Vec<_> = metrics(&text).difference(&shown).copied().collect();
        if !unknown.is_empty() {
            bail!("{name} speaks of metrics that do not exist: {unknown:?}");
        }
    }
    let documented = read(workspace, "docs/FLEET.md")?;
    let missing = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<_> =
        missing.filter(|name| !documented.contains(name.trim_start_matches("memcg_trace_"))).collect();
    if !missing.is_empty() {
        bail!("docs/FLEET.md has not {missing:?}");
    }
    Ok(())
}

/// Each alert has a section.
fn runbooks_exist(workspace: &Workspace) -> Result<()> {
    let (rules, page) = (read(workspace, "deploy/prometheus/rules.yaml")?, read(workspace, "docs/FLEET.md")?);
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let anchor = format!("docs/FLEET.md#{}", alert.to_lowercase());
        if !page.lines().any(|line| line == format!("### {alert}")) || !rules.contains(&anchor) {
            bail!("docs/FLEET.md has no section \"### {alert}\", or the rule does not refer to it");
        }
    }
    Ok(())
}

/// What the base and each overlay make, in a file each. Where kubectl is not installed, for Debian has it only in some
/// releases: the objects of the base as they are.
fn manifests(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let directory = workspace.root.join("deploy/kubernetes");
    let base = directory.join("base");
    if process::find("kubectl").is_none() {
        eprintln!("xtask: no kubectl: the overlays in {} are not built", directory.display());
        let mut objects = entries(&base)?;
        objects.retain(|path| !path.ends_with("kustomization.yaml"));
        return Ok(objects);
    }
    let made = workspace.scratch().join("manifests");
    fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
    let mut files = Vec::new();
    for path in [base].into_iter().chain(entries(&directory.join("overlays"))?) {
        let built = process::capture(Command::new("kubectl").arg("kustomize").arg(&path))?;
        if !built.contains("kind: DaemonSet") {
            bail!("{} has no DaemonSet", path.display());
        }
        let file = made.join(path.file_name().unwrap_or_default()).with_extension("yaml");
        fs::write(&file, built).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// systemd-analyze wants the program to exist: it is asked about a copy that names ours, with what the deb adds to it.
fn unit(workspace: &Workspace) -> Result<()> {
    let directory = workspace.target.join("xtask/unit");
    let more = directory.join("memcg-trace.service.d");
    fs::create_dir_all(&more).with_context(|| format!("cannot make {}", more.display()))?;
    let of_debian = more.join("debian.conf");
    fs::write(&of_debian, read(workspace, OF_DEBIAN)?)
        .with_context(|| format!("cannot write {}", of_debian.display()))?;
    let copy = directory.join("memcg-trace.service");
    let text = read(workspace, UNIT)?.replace(INSTALLED, &workspace.loader().display().to_string());
    fs::write(&copy, text).with_context(|| format!("cannot write {}", copy.display()))?;
    process::run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy))
}
