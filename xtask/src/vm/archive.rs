//! Debian's archive, accessed through the machine's own mirror and Debian's keyring.
//!
//! apt does the work (mirrors, proxies, signatures), but in a separate directory: this machine's packages and indices
//! do not change.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::arch::Arch;
use crate::process;

/// The release whose programs run in VMs.
pub const SUITE: &str = "bookworm";

/// Suites that have kernels: releases, with their security updates, and backports. A mirror may not have all of them.
const SUITES: &[&str] = &["bullseye", "bookworm", "trixie", "trixie-backports", "forky", "sid"];
const SECURITY_SUITES: &[&str] = &["bullseye-security", "bookworm-security", "trixie-security"];

/// Debian's keys, as installed by the package debian-archive-keyring: the current name, then the older one.
const KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// Maximum age of a fresh index.
const INDEX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a package is unpacked until it is complete.
pub const PARTIAL: &str = ".partial";

/// A package of the archive, in one version.
pub struct Package {
    pub name: String,
    pub version: String,
}

/// Debian's archive with a fresh index.
pub struct Archive {
    dir: PathBuf,
    arch: &'static Arch,
    /// Messages of `apt-get update`.
    complaints: String,
}

impl Archive {
    /// Fetches the index into `dir`, unless it has a fresh one.
    pub fn open(dir: &Path, arch: &'static Arch) -> Result<Self> {
        let mut archive = Self { dir: dir.to_owned(), arch, complaints: String::new() };
        let stamp = dir.join("updated");
        let fresh = fs::metadata(&stamp).and_then(|meta| meta.modified()).ok();
        if fresh.and_then(|time| time.elapsed().ok()).is_some_and(|age| age < INDEX_AGE) {
            return Ok(archive);
        }
        for sub in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let mirrors = Mirrors::of_this_machine()?;
        fs::write(dir.join("sources.list"), mirrors.sources(arch)?)?;
        fs::write(dir.join("apt.conf"), configuration(dir, arch)?)?;

        let update = archive.apt("apt-get").arg("update").output().context("cannot run apt-get update")?;
        archive.complaints = String::from_utf8_lossy(&update.stderr).into_owned();
        if update.status.success() && archive.complaints.is_empty() {
            fs::write(stamp, "")?;
        }
        Ok(archive)
    }

    /// The lines of a sources.list for one suite and its security updates.
    pub fn sources(&self, suite: &str) -> Result<String> {
        let all =
            fs::read_to_string(self.dir.join("sources.list")).context("the index has no sources.list")?;
        let security = format!("{suite}-security");
        let of_suite = |line: &&str| line.split(' ').any(|word| word == suite || word == security);
        Ok(all.lines().filter(of_suite).map(|line| format!("{line}\n")).collect())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf")).env("LC_ALL", "C");
        command
    }

    /// The newest cloud kernel of a series.
    pub fn newest_kernel(&self, series: &str) -> Result<Package> {
        let names = process::capture(self.apt("apt-cache").args(["pkgnames", "linux-image-"]))?;
        let names: Vec<_> = names.lines().filter(|name| is_kernel_of(name, series, self.arch)).collect();
        let newest = match names.as_slice() {
            [] => None,
            names => newest(self.versions(names, |_| true)?),
        };
        newest.ok_or_else(|| {
            let complaint = self.complaints.lines().find(|line| !line.is_empty());
            anyhow!(
                "Debian's archive has no cloud kernel {series}{}",
                complaint.map(|line| format!(": apt-get update says: {line}")).unwrap_or_default()
            )
        })
    }

    /// The package of [`SUITE`], or of its security updates.
    pub fn of_suite(&self, name: &str) -> Result<Package> {
        let of_suite =
            |suite: &str| suite.strip_prefix(SUITE).is_some_and(|rest| ["", "-security"].contains(&rest));
        newest(self.versions(&[name], of_suite)?).with_context(|| format!("Debian's {SUITE} has no {name}"))
    }

    /// The versions of packages in the wanted suites.
    fn versions(&self, names: &[&str], wanted: impl Fn(&str) -> bool) -> Result<Vec<Package>> {
        let table = process::capture(self.apt("apt-cache").arg("madison").args(names))?;
        let package = |line: &str| {
            let row: Vec<_> = line.split('|').map(str::trim).collect();
            let [name, version, source] = row.as_slice() else { return None };
            // `MIRROR SUITE/main ARCHITECTURE Packages`
            let suite = source.split(' ').nth(1)?.split('/').next()?;
            wanted(suite).then(|| Package { name: (*name).to_owned(), version: (*version).to_owned() })
        };
        Ok(table.lines().filter_map(package).collect())
    }

    /// Unpacks a kernel into `dir`, which is created once complete.
    pub fn unpack(&self, kernel: &Package, dir: &Path) -> Result<()> {
        // In newer suites a kernel is split into packages named after its release.
        let release = kernel.name.trim_start_matches("linux-image-");
        self.unpack_with(kernel, |name| name.ends_with(release), dir)
    }

    /// Unpacks a package, and its dependencies of the same version that are `wanted`.
    pub fn unpack_with(&self, package: &Package, wanted: impl Fn(&str) -> bool, dir: &Path) -> Result<()> {
        let parent = dir.parent().context("the kernel cache has no parent directory")?;
        let partial = parent.join(PARTIAL);
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
        let mut names = self.dependencies(package)?;
        names.retain(|name| wanted(name));
        names.push(package.name.clone());
        for name in names {
            let spec = format!("{name}={}", package.version);
            process::run(self.apt("apt-get").current_dir(&partial).args(["download", "--quiet", &spec]))?;
        }
        for entry in fs::read_dir(&partial)?.flatten() {
            let deb = entry.path();
            process::run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&partial))?;
            fs::remove_file(&deb)?;
        }
        fs::rename(&partial, dir).with_context(|| format!("cannot create {}", dir.display()))
    }

    /// Names of a package's dependencies.
    fn dependencies(&self, package: &Package) -> Result<Vec<String>> {
        let spec = format!("{}={}", package.name, package.version);
        let record = process::capture(self.apt("apt-cache").args(["show", &spec]))?;
        let depends =
            record.lines().filter_map(|line| line.strip_prefix("Depends: ")).flat_map(|line| line.split(','));
        let names = depends.filter_map(|depend| depend.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }
}

fn newest(packages: Vec<Package>) -> Option<Package> {
    packages.into_iter().max_by_key(|package| version_key(&package.version))
}

/// Whether a package is a kernel of the series, and not its debug symbols or the metapackage.
fn is_kernel_of(package: &str, series: &str, arch: &Arch) -> bool {
    let name = package.strip_suffix(arch.debian).and_then(|name| name.strip_suffix("-cloud-"));
    let release = name.and_then(|name| name.strip_prefix("linux-image-"));
    let rest = release.and_then(|release| release.strip_prefix(series));
    rest.is_some_and(|rest| rest.starts_with(['.', '-', '+']))
}

/// Orders versions of one package: by number, a backport (`~`) before its original.
pub fn version_key(version: &str) -> (Vec<u64>, bool) {
    let (base, backport) = match version.split_once('~') {
        Some((base, _)) => (base, true),
        None => (version, false),
    };
    let numbers = base.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    (numbers.collect(), !backport)
}

/// The machine's apt configuration (proxies, certificates) without hooks, for our own directory and this architecture.
fn configuration(dir: &Path, arch: &Arch) -> Result<String> {
    let machine = process::capture(Command::new("apt-config").arg("dump"))?;
    let general = |line: &&str| !line.contains("-Invoke") && !line.starts_with("APT::Architecture");
    let mut lines: Vec<_> = machine.lines().filter(general).map(|line| line.to_owned()).collect();
    lines.push(format!("APT::Architecture \"{0}\"; APT::Architectures {{ \"{0}\"; }};", arch.debian));
    let dir = dir.display();
    lines.push(format!("Dir::State \"{dir}/state\";"));
    lines.push(format!("Dir::Cache \"{dir}/cache\";"));
    // Container images disable these caches, and then apt reads 50 MB of index at each call.
    lines.extend(["pkgcache", "srcpkgcache"].map(|key| format!("Dir::Cache::{key} \"{key}.bin\";")));
    lines.push(format!("Dir::Etc::sourcelist \"{dir}/sources.list\";"));
    lines.extend(["parts", "main", "sourceparts"].map(|key| format!("Dir::Etc::{key} \"/dev/null\";")));
    // apt's download user cannot write into a home directory.
    lines.push("APT::Sandbox::User \"root\";".to_owned());
    Ok(lines.join("\n") + "\n")
}

/// The Debian mirrors of this machine.
struct Mirrors {
    main: String,
    security: Option<String>,
}

impl Mirrors {
    /// Asks apt, which prints the address of each release file it would fetch.
    fn of_this_machine() -> Result<Self> {
        if let Ok(main) = env::var("MEMCG_TRACE_DEBIAN_MIRROR") {
            return Ok(Self { main, security: None });
        }
        let mut command = Command::new("apt-get");
        let printed = process::capture(command.args(["update", "--print-uris"]).env("LC_ALL", "C")).context(
            "fetching Debian's kernels needs apt; pass the path of a kernel image to --kernel instead",
        )?;
        let releases = printed.lines().filter_map(|line| {
            let address = line.strip_prefix('\'')?.split('\'').next()?;
            let (mirror, suite) = address.strip_suffix("/InRelease")?.rsplit_once("/dists/")?;
            mirror.contains("debian").then_some((mirror, suite))
        });
        let find = |suites: &[&str]| {
            let mut releases = releases.clone();
            releases.find(|(_, suite)| suites.contains(suite)).map(|(mirror, _)| mirror.to_owned())
        };
        let names = ["stable", "oldstable", "testing", "unstable"];
        let Some(main) = find(&[SUITES, &names].concat()) else {
            bail!(
                "apt on this machine knows no Debian mirror: set MEMCG_TRACE_DEBIAN_MIRROR to the address of one, \
                 or pass the path of a kernel image to --kernel"
            );
        };
        let security = find(&[SECURITY_SUITES, &["stable-security", "oldstable-security"]].concat());
        Ok(Self { main, security })
    }

    /// The lines of our sources.list, each with Debian's keyring.
    fn sources(&self, arch: &Arch) -> Result<String> {
        let Some(keyring) = KEYRINGS.iter().find(|path| Path::new(path).exists()) else {
            bail!("Debian's keys are missing: install the package debian-archive-keyring");
        };
        let main = SUITES.iter().map(|suite| (&self.main, suite));
        let security =
            self.security.iter().flat_map(|mirror| SECURITY_SUITES.iter().map(move |suite| (mirror, suite)));
        let line = |(mirror, suite)| {
            let arch = arch.debian;
            format!("deb [arch={arch} target=Packages signed-by={keyring}] {mirror} {suite} main\n")
        };
        Ok(main.chain(security).map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{AARCH64, X86_64};

    #[test]
    fn kernels_of_a_series() {
        for (package, yes) in [
            ("linux-image-6.12.117+deb13-cloud-amd64", true),
            ("linux-image-6.12-cloud-amd64", false),
            ("linux-image-6.1.0-56-cloud-amd64", false),
            ("linux-image-6.12.117+deb13-cloud-amd64-dbg", false),
        ] {
            assert_eq!(is_kernel_of(package, "6.12", &X86_64), yes, "{package}");
        }
        assert!(is_kernel_of("linux-image-6.1.0-56-cloud-amd64", "6.1", &X86_64));
        assert!(is_kernel_of("linux-image-6.1.0-56-cloud-arm64", "6.1", &AARCH64));
        assert!(!is_kernel_of("linux-image-6.1.0-56-cloud-arm64", "6.1", &X86_64));
    }

    #[test]
    fn newest_version() {
        let mut versions = ["6.12.117-1", "6.12.9-2", "6.12.117-1~deb12u1", "6.12.101-3"];
        versions.sort_by_key(|version| version_key(version));
        assert_eq!(versions, ["6.12.9-2", "6.12.101-3", "6.12.117-1~deb12u1", "6.12.117-1"]);
    }
}
