//! `cargo xtask dist`: everything that a release consists of.

mod again;
mod crates;
mod deb;
mod licences;
mod lint;
mod release;
mod rpm;
mod sbom;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

pub use self::release::Release;
pub use self::tree::Tree;
use crate::arch::{self, Arch};
use crate::build;
use crate::image::Image;
use crate::install;
use crate::process::{self, step};
use crate::workspace::{Profile, Workspace};

const SUMMARY: &str = "follow memory cgroups and name the ones that leak";
const DESCRIPTION: &str = "\
Memory cgroups that were removed live on in the kernel as long as a page, a
swap entry, a socket or a process refers to them. Each keeps memory, and some
keep one of 65,535 IDs; without a free one no container starts any more.

memcg-trace follows each memory cgroup from creation to release by eBPF. It
says which ones leak, which container they were of, what pins them and what
frees them, and whether this kernel is clean; as text, JSON, metrics for
Prometheus, a screen and a page. One static binary with the eBPF programs in
it, for Linux 3.10 (RHEL 7) and later.
";
const MAINTAINER: &str = "The memcg-trace authors <memcg-trace@users.noreply.github.com>";

/// Where it is put. Not target/dist: that is cargo's, for what it builds in this profile for the machine that builds.
const OUT: &str = "target/packages";
/// The checksums of all other files.
const SUMS: &str = "SHA256SUMS";

/// Build a release for both architectures: tar.gz, deb, rpm, an OCI image, bills of materials, SHA256SUMS.
///
/// Nothing in it depends on when and where it is built: all times are that of the commit (or SOURCE_DATE_EPOCH), and the
/// same commit, compilers and packers give the same bytes.
#[derive(clap::Args)]
pub struct Args {
    /// Only these architectures, separated by commas or given more than once
    #[arg(long, value_name = "ARCH,…", value_delimiter = ',', value_parser = Arch::parse)]
    arch: Vec<&'static Arch>,
    /// Output directory; a release that is in it is removed
    #[arg(long, value_name = "DIRECTORY", default_value = OUT)]
    out: PathBuf,
    /// Fail unless this is the tag of the version: v and what Cargo.toml says
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Package target/TRIPLE/dist/memcg-trace as it is
    #[arg(long, conflicts_with = "twice")]
    no_build: bool,
    /// Check the packages by lintian and rpmlint, which are installed if they are missing
    #[arg(long)]
    lint: bool,
    /// Build it once more from a clone of the commit elsewhere, and fail unless every byte is the same
    #[arg(long)]
    twice: bool,
}

/// What a package has besides the binary, by its path in the checkout or below the help files.
struct Parts {
    /// Man pages and completions by their names.
    man: BTreeMap<String, Vec<u8>>,
    completions: BTreeMap<String, Vec<u8>>,
    readme: Vec<u8>,
    changelog: Vec<u8>,
    unit: Vec<u8>,
    /// For kernels that refuse perf events without CAP_SYS_ADMIN.
    debian: Vec<u8>,
    mit: Vec<u8>,
    apache: Vec<u8>,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let archs = if args.arch.is_empty() { &arch::ALL[..] } else { &args.arch };
    let workspace = workspace.with(Profile::Dist);
    ensure_tools()?;
    let release = Release::of(&workspace)?;
    if let Some(tag) = args.tag.as_ref().filter(|tag| **tag != format!("v{}", release.version)) {
        bail!("{tag} is not the tag of version {} (Cargo.toml)", release.version);
    }
    let out = workspace.root.join(&args.out);
    let scratch = workspace.scratch().join("dist");
    let has_files = fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some());
    if has_files && !out.join(SUMS).is_file() {
        bail!("{} has other files than those of a release; pass an empty directory to --out", out.display());
    }
    for directory in [&out, &scratch] {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let parts = Parts::read(&workspace, &scratch)?;
    let tag = format!("localhost/memcg-trace:{}", release.version);
    let mut image = Image::new(&tag, &release);
    for arch in archs {
        let workspace = workspace.on(arch);
        let loader = if args.no_build { workspace.built() } else { build::release(&workspace, &release)? };
        step(&format!("package for {}", arch.name), || {
            let crates = crates::linked(&workspace)?;
            let licences = licences::text(&crates)?;
            let name = format!("memcg-trace-{}-{}", release.version, arch.triple);
            let archive = parts.archive(&name, &release, &loader, &licences)?;
            write(&out.join(format!("{name}.tar.gz")), &process::gzip(&archive.tar()?)?)?;
            write(&out.join(format!("{name}.cdx.json")), &sbom::document(&release, arch, &crates)?)?;
            let tree = parts.debian(&release, &loader, &licences)?;
            deb::build(&release, arch, &tree, &scratch.join(format!("deb-{}", arch.name)), &out)?;
            let tree = parts.rpm(&release, &loader, &licences)?;
            rpm::build(&release, arch, &tree, &scratch.join(format!("rpm-{}", arch.name)), &out)?;
            let mut root = Tree::new(release.time);
            root.program("memcg-trace", &loader)?;
            root.file("licences/THIRD-PARTY", licences.into_bytes());
            root.file("licences/MIT", parts.mit.clone());
            root.file("licences/Apache-2.0", parts.apache.clone());
            image.add(arch, &root)
        })?;
    }
    image.write(&out.join(format!("memcg-trace-{}.oci.tar", release.version)))?;
    sums(&out)?;
    if args.lint {
        lint::check(&workspace, &out)?;
    }
    if args.twice {
        again::compare(&workspace, &release, archs, &out)?;
    }
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The programs that pack.
fn ensure_tools() -> Result<()> {
    let missing: Vec<_> = [("rpmbuild", "rpm"), ("dpkg-deb", "dpkg")]
        .into_iter()
        .filter_map(|(program, package)| process::find(program).is_none().then_some(package))
        .collect();
    if missing.is_empty() { Ok(()) } else { install::packages(&missing) }
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// SHA256SUMS of all files, for `sha256sum --check`.
fn sums(directory: &Path) -> Result<()> {
    let names = names_in(directory)?;
    let sums = process::capture(Command::new("sha256sum").current_dir(directory).args(names))?;
    write(&directory.join(SUMS), sums.as_bytes())
}

/// The names of the files in a directory, sorted.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    let context = || format!("cannot read {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        names.push(entry.with_context(context)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

impl Parts {
    /// Reads the files of the checkout, and has the others written.
    fn read(workspace: &Workspace, scratch: &Path) -> Result<Self> {
        let help = scratch.join("help");
        build::help_files(workspace, &help)?;
        let files = |name: &str| -> Result<BTreeMap<String, Vec<u8>>> {
            let directory = help.join(name);
            let read = |name: String| Ok((name.clone(), read(&directory.join(&name))?));
            names_in(&directory)?.into_iter().map(read).collect()
        };
        let own = |name: &str| read(&workspace.root.join(name));
        Ok(Self {
            man: files("man")?,
            completions: files("completions")?,
            readme: own("README.md")?,
            changelog: own("CHANGELOG.md")?,
            unit: own("deploy/systemd/memcg-trace.service")?,
            debian: own("deploy/systemd/debian.conf")?,
            mit: own("LICENSE-MIT")?,
            apache: own("LICENSE-APACHE")?,
        })
    }

    /// An archive that is unpacked anywhere.
    fn archive(&self, name: &str, release: &Release, loader: &Path, licences: &str) -> Result<Tree> {
        let mut tree = Tree::new(release.time);
        let path = |file: &str| format!("{name}/{file}");
        tree.program(path("memcg-trace"), loader)?;
        for (page, content) in &self.man {
            tree.file(path(&format!("man/man1/{page}")), content.clone());
        }
        for (shell, content) in &self.completions {
            tree.file(path(&format!("completions/memcg-trace.{shell}")), content.clone());
        }
        for (file, content) in [
            ("README.md", &self.readme),
            ("CHANGELOG.md", &self.changelog),
            ("LICENSE-MIT", &self.mit),
            ("LICENSE-APACHE", &self.apache),
            ("systemd/memcg-trace.service", &self.unit),
            ("systemd/debian.conf", &self.debian),
        ] {
            tree.file(path(file), content.clone());
        }
        tree.file(path("LICENSES-THIRD-PARTY"), licences.as_bytes().to_vec());
        Ok(tree)
    }

    /// What every package has.
    fn installed(&self, release: &Release, loader: &Path, zsh: &str) -> Result<Tree> {
        let mut tree = Tree::new(release.time);
        tree.program("usr/bin/memcg-trace", loader)?;
        tree.file("usr/lib/systemd/system/memcg-trace.service", self.unit.clone());
        for (page, content) in &self.man {
            tree.file(format!("usr/share/man/man1/{page}.gz"), process::gzip(content)?);
        }
        let places = [
            ("bash", "usr/share/bash-completion/completions/memcg-trace".to_owned()),
            ("zsh", format!("usr/share/zsh/{zsh}/_memcg-trace")),
            ("fish", "usr/share/fish/vendor_completions.d/memcg-trace.fish".to_owned()),
        ];
        for (shell, place) in places {
            let content =
                self.completions.get(shell).with_context(|| format!("no completions for {shell}"))?;
            tree.file(place, content.clone());
        }
        Ok(tree)
    }

    fn debian(&self, release: &Release, loader: &Path, licences: &str) -> Result<Tree> {
        let mut tree = self.installed(release, loader, "vendor-completions")?;
        tree.file("usr/lib/systemd/system/memcg-trace.service.d/debian.conf", self.debian.clone());
        let documents = Path::new("usr/share/doc/memcg-trace");
        tree.file(documents.join("changelog.gz"), process::gzip(&self.changelog)?);
        tree.file(documents.join("LICENSES-THIRD-PARTY.gz"), process::gzip(licences.as_bytes())?);
        tree.file(documents.join("copyright"), deb::copyright(&self.mit)?);
        Ok(tree)
    }

    fn rpm(&self, release: &Release, loader: &Path, licences: &str) -> Result<Tree> {
        let mut tree = self.installed(release, loader, "site-functions")?;
        tree.file("usr/share/doc/memcg-trace/CHANGELOG.md", self.changelog.clone());
        let texts = Path::new("usr/share/licenses/memcg-trace");
        tree.file(texts.join("LICENSE-MIT"), self.mit.clone());
        tree.file(texts.join("LICENSE-APACHE"), self.apache.clone());
        tree.file(texts.join("LICENSES-THIRD-PARTY"), licences.as_bytes().to_vec());
        Ok(tree)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
