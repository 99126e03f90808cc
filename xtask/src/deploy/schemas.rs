//! What is in deploy/, by the schemas of those that read it: Kubernetes' for manifests, Grafana's for dashboards.
//!
//! Their validators are on PyPI and npm. They are installed below the target directory, in the versions that
//! `requirements.txt` and `package-lock.json` have, and again when those change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, step};
use crate::workspace::Workspace;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PACKAGE: &str = include_str!("package.json");
const PACKAGE_LOCK: &str = include_str!("package-lock.json");
const DASHBOARD: &str = include_str!("dashboard.ts");

/// The oldest and the newest release of Kubernetes that kubernetes-validate has schemas of.
const RELEASES: &[&str] = &["1.25", "1.37"];
/// Kinds that operators bring: no release of Kubernetes has their schemas.
const OF_OPERATORS: &[&str] = &["PodMonitor", "SecurityContextConstraints"];

/// The validators.
pub struct Schemas {
    directory: PathBuf,
}

impl Schemas {
    /// Installs them, unless these versions are there.
    pub fn ensure(workspace: &Workspace) -> Result<Self> {
        let schemas = Self { directory: workspace.scratch().join("schemas") };
        let installed = schemas.directory.join("installed");
        let versions = format!("{REQUIREMENTS}{PACKAGE_LOCK}");
        if fs::read_to_string(&installed).is_ok_and(|text| text == versions) {
            return Ok(schemas);
        }
        step("install kubernetes-validate and @grafana/schema by pip and npm", || schemas.install())?;
        write(&installed, &versions)?;
        Ok(schemas)
    }

    fn install(&self) -> Result<()> {
        // What is left of other versions.
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory)
                .with_context(|| format!("cannot remove {}", self.directory.display()))?;
        }
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make {}", self.directory.display()))?;
        let requirements = self.directory.join("requirements.txt");
        write(&requirements, REQUIREMENTS)?;
        write(&self.directory.join("package.json"), PACKAGE)?;
        write(&self.directory.join("package-lock.json"), PACKAGE_LOCK)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]);
        pip.args(["--root-user-action=ignore", "--disable-pip-version-check"]);
        process::run(pip.arg("--target").arg(self.python()).arg("--requirement").arg(requirements))?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]);
        process::run(npm.current_dir(&self.directory))
    }

    fn python(&self) -> PathBuf {
        self.directory.join("python")
    }

    /// Every object in these files is what Kubernetes takes, and has no field that it does not know.
    pub fn manifests(&self, files: &[PathBuf]) -> Result<()> {
        for release in RELEASES {
            let mut validate = Command::new("python3");
            validate.env("PYTHONPATH", self.python()).args(["-m", "kubernetes_validate"]);
            validate.args(["--strict", "--quiet", "--kubernetes-version", release]).args(files);
            let mut said = Vec::new();
            let outcome = process::stream(&mut validate, &mut said);
            let said = String::from_utf8_lossy(&said);
            let known =
                |line: &str| OF_OPERATORS.iter().any(|kind| line.contains(&format!("for kind {kind} ")));
            let wrong: Vec<_> = said.lines().filter(|line| !line.is_empty() && !known(line)).collect();
            if outcome.is_err() || !wrong.is_empty() {
                bail!(
                    "Kubernetes {release} does not take what is in deploy/kubernetes: {}",
                    wrong.join("\n")
                );
            }
        }
        Ok(())
    }

    /// Every dashboard is what Grafana's type of one says, and has no field besides. Options of panels and targets are
    /// whatever a panel and a data source take: Grafana's type leaves them open.
    pub fn dashboards(&self, files: &[PathBuf]) -> Result<()> {
        write(&self.directory.join("dashboard.ts"), DASHBOARD)?;
        let mut check = Command::new(self.directory.join("node_modules/.bin/tsc"));
        check.current_dir(&self.directory);
        check.args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]);
        check.args(["--module", "esnext", "--moduleResolution", "bundler"]);
        for file in files {
            let json = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = Path::new(file.file_name().unwrap_or_default()).with_extension("ts");
            // On one line: then the lines of messages are those of the dashboard.
            let head = "import type { AsJson } from \"./dashboard\"; export const dashboard: AsJson = ";
            write(&self.directory.join(&name), &format!("{head}{json}"))?;
            check.arg(name);
        }
        process::run(&mut check)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
