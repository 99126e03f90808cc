//! A Debian root file system with systemd and containerd, as a cached cpio archive.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::archive::SUITE;
use super::cache::Cache;
use crate::arch::Arch;
use crate::process::{self, step};

const PACKAGES: &str = "systemd,systemd-sysv,dbus,containerd,runc,busybox-static";
/// Files not needed in a short-lived VM.
const UNWANTED: &str = "usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/perl usr/share/zoneinfo \
                        usr/bin/containerd-shim usr/bin/containerd-shim-runc-v1 usr/bin/perl* var/lib/dpkg var/cache";

/// Path of the archive: cached, or created by mmdebstrap, which takes a minute.
pub fn root() -> Result<PathBuf> {
    let cache = Cache::lock(Arch::host())?;
    let (archive, recipe) = (cache.join("systemd.cpio"), cache.join("systemd.recipe"));
    let wanted = format!("{SUITE} {PACKAGES} {UNWANTED}");
    if archive.is_file() && fs::read_to_string(&recipe).is_ok_and(|made| made == wanted) {
        return Ok(archive);
    }
    step(&format!("create a root file system of Debian {SUITE} with systemd"), || {
        let sources = cache.archive()?.sources(SUITE)?;
        let partial = cache.join("systemd.partial");
        let pack = format!(
            "cd \"$1\" && rm -rf {UNWANTED} && find . -xdev | cpio --quiet -o -H newc >'{}'",
            partial.display()
        );
        let mut mmdebstrap = process::as_root("mmdebstrap")?;
        mmdebstrap.args(["--quiet", "--variant=essential", "--format=null", "--include", PACKAGES]);
        mmdebstrap.arg(format!("--customize-hook={pack}"));
        process::capture(mmdebstrap.args([SUITE, "-"]).arg(sources))?;
        if fs::metadata(&partial).map_or(0, |archive| archive.len()) == 0 {
            bail!("mmdebstrap created nothing");
        }
        fs::rename(&partial, &archive).context("cannot keep the root file system")?;
        fs::write(&recipe, wanted).context("cannot keep the root file system")
    })?;
    Ok(archive)
}
