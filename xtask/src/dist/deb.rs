//! A package of Debian, by dpkg-deb.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{DESCRIPTION, MAINTAINER, Release, SUMMARY, Tree};
use crate::arch::Arch;
use crate::process;

/// The revision of the packaging.
const REVISION: u32 = 1;
const DOCUMENTS: &str = "usr/share/doc/memcg-trace";

const POSTINST: &str = r#"#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    # After an upgrade, what runs is the old one.
    [ -z "$2" ] || deb-systemd-invoke try-restart memcg-trace.service >/dev/null || true
fi
"#;

const PRERM: &str = r#"#!/bin/sh
set -e
if [ "$1" = remove ]; then
    [ ! -d /run/systemd/system ] || deb-systemd-invoke stop memcg-trace.service >/dev/null || true
    deb-systemd-helper disable memcg-trace.service >/dev/null || true
fi
"#;

const POSTRM: &str = r#"#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl --system daemon-reload >/dev/null || true
# What deb-systemd-helper remembers of the service.
if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper purge memcg-trace.service >/dev/null || true
fi
"#;

/// Why an error of lintian's is none here.
const OVERRIDES: &str = "\
# One binary for every distribution, old ones included: it depends on no library of the system.
memcg-trace: statically-linked-binary [usr/bin/memcg-trace]
";

/// Builds the package of these files in the directory `out`, with `scratch` to work in.
pub fn build(release: &Release, arch: &Arch, files: &Tree, scratch: &Path, out: &Path) -> Result<()> {
    if process::find("dpkg-deb").is_none() {
        bail!("dpkg-deb is missing: install the package dpkg");
    }
    let version = format!("{}-{REVISION}", release.version);
    let mut tree = files.clone();
    tree.file("usr/share/lintian/overrides/memcg-trace", OVERRIDES.into());
    tree.file(
        format!("{DOCUMENTS}/changelog.Debian.gz"),
        process::gzip(changelog(release, &version)?.as_bytes())?,
    );
    let sums = md5sums(&tree, scratch)?;
    let size: usize = tree.sizes().map(|(_, bytes)| bytes.div_ceil(1024)).sum();
    let control = format!(
        "Package: memcg-trace\nVersion: {version}\nArchitecture: {}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {size}\nSection: admin\nPriority: optional\nDescription: {SUMMARY}\n{}",
        arch.debian,
        paragraphs(DESCRIPTION)
    );
    tree.file("DEBIAN/control", control.into());
    tree.file("DEBIAN/md5sums", sums);
    for (name, script) in [("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)] {
        tree.script(format!("DEBIAN/{name}"), script);
    }
    tree.write(scratch)?;
    let package = out.join(format!("memcg-trace_{version}_{}.deb", arch.debian));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.env("SOURCE_DATE_EPOCH", release.time.to_string());
    // xz is what every release can unpack.
    dpkg.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]).arg(scratch).arg(package);
    process::run(&mut dpkg)
}

/// The licences in Debian's machine-readable form.
pub fn copyright(mit: &[u8]) -> Result<Vec<u8>> {
    let mit = str::from_utf8(mit).context("LICENSE-MIT is not UTF-8")?;
    // After its title and the line with the copyright, which has a field of its own.
    let text = mit.split_once("\n\n").and_then(|(_, rest)| rest.split_once("\n\n"));
    let (holders, text) = text.context("LICENSE-MIT is not a title, a copyright and a text")?;
    let holders = holders.trim_start_matches("Copyright (c) ");
    let text: String = paragraphs(text);
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: memcg-trace\n\
         Comment: The binary is linked from crates of others: LICENSES-THIRD-PARTY.gz has their licences.\n\n\
         Files: *\nCopyright: {holders}\nLicense: MIT or Apache-2.0\n\n\
         License: MIT\n{text}\n\
         License: Apache-2.0\n On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.\n"
    )
    .into_bytes())
}

/// A text in the form of a field of a control file: lines are indented, and a dot divides paragraphs.
fn paragraphs(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") }).collect()
}

/// The changelog that Debian wants of the packaging; what changed is in the other one.
fn changelog(release: &Release, version: &str) -> Result<String> {
    Ok(format!(
        "memcg-trace ({version}) unstable; urgency=medium\n\n  * Release {}: see changelog.gz.\n\n -- {MAINTAINER}  {}\n",
        release.version,
        release.date("+%a, %d %b %Y %H:%M:%S +0000")?
    ))
}

/// What `dpkg --verify` compares with.
fn md5sums(tree: &Tree, scratch: &Path) -> Result<Vec<u8>> {
    tree.write(scratch)?;
    let mut md5sum = Command::new("md5sum");
    md5sum.current_dir(scratch).args(tree.sizes().map(|(path, _)| path));
    let sums = process::capture(&mut md5sum)?;
    fs::remove_dir_all(scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    Ok(sums.into_bytes())
}
