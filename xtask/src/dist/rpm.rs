//! A package for rpm, by rpmbuild, from a ready tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{DESCRIPTION, MAINTAINER, Release, SUMMARY, Tree};
use crate::arch::Arch;
use crate::process;

const SCRIPTS: &str = "
%post
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
fi

%preun
if [ $1 -eq 0 ] && [ -x /usr/bin/systemctl ]; then
    if [ -d /run/systemd/system ]; then
        systemctl stop memcg-trace.service >/dev/null 2>&1 || :
    fi
    systemctl --no-reload disable memcg-trace.service >/dev/null 2>&1 || :
fi

%postun
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    # After an upgrade, what runs is the old one.
    if [ $1 -ge 1 ]; then
        systemctl try-restart memcg-trace.service >/dev/null 2>&1 || :
    fi
fi
";

/// Nothing is compiled, stripped or compressed here; build host and times are those of the release; and the payload is one that
/// rpm of RHEL 7 can unpack.
const MACROS: &str = "\
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _buildhost memcg-trace
%global _binary_payload w7.xzdio
%global source_date_epoch_from_changelog 0
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
";

/// Builds the package of these files in the directory `out`, with `scratch` to work in.
pub fn build(release: &Release, arch: &Arch, files: &Tree, scratch: &Path, out: &Path) -> Result<()> {
    if process::find("rpmbuild").is_none() {
        bail!("rpmbuild is missing; Debian has it in the package rpm");
    }
    let root = scratch.join("files");
    files.write(&root)?;
    let spec = scratch.join("memcg-trace.spec");
    fs::write(&spec, self::spec(release, files, &root)?)
        .with_context(|| format!("cannot write {}", spec.display()))?;
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.env("SOURCE_DATE_EPOCH", release.time.to_string()).env("LC_ALL", "C.UTF-8");
    rpmbuild.args(["-bb", "--quiet", "--target", &format!("{}-linux", arch.name)]);
    rpmbuild.arg("--define").arg(format!("_topdir {}", scratch.join("build").display()));
    rpmbuild.arg("--define").arg(format!("_rpmdir {}", out.display()));
    rpmbuild.arg("--define").arg("_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm");
    process::run(rpmbuild.arg(&spec))
}

fn spec(release: &Release, files: &Tree, root: &Path) -> Result<String> {
    // rpmlint wants a sentence, lintian none.
    let (first, rest) = SUMMARY.split_at(1);
    let summary = first.to_uppercase() + rest;
    Ok(format!(
        "{MACROS}
Name: memcg-trace
Version: {version}
Release: 1
Summary: {summary}
Packager: {MAINTAINER}
Group: System/Monitoring
License: MIT OR Apache-2.0
AutoReqProv: no

%description
{description}

%install
cp --archive {root}/. %{{buildroot}}
{SCRIPTS}
%files
{files}
%changelog
* {date} {MAINTAINER} - {version}-1
- Release {version}: see CHANGELOG.md.
",
        version = release.version,
        description = DESCRIPTION.trim_end(),
        root = root.display(),
        files = listed(files),
        date = release.date("+%a %b %d %Y")?,
    ))
}

/// Directories that may be there for us alone: ours, and those of shells that need not be installed. All others belong to the
/// package `filesystem`.
const OWNED: &[&str] = &[
    "usr/share/bash-completion",
    "usr/share/doc/memcg-trace",
    "usr/share/fish",
    "usr/share/licenses/memcg-trace",
    "usr/share/zsh",
];

/// The files, each after the directories that go with the package.
fn listed(files: &Tree) -> String {
    let mut list = String::new();
    let mut seen = BTreeSet::new();
    for (path, _) in files.sizes() {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.retain(|directory| OWNED.iter().any(|owned| directory.starts_with(owned)));
        for directory in above.into_iter().rev().filter(|directory| seen.insert(*directory)) {
            list += &format!("%dir /{}\n", directory.display());
        }
        let kind = match path {
            path if path.starts_with("usr/share/licenses") => "%license ",
            path if path.starts_with("usr/share/doc") || path.starts_with("usr/share/man") => "%doc ",
            _ => "",
        };
        list += &format!("{kind}/{}\n", path.display());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_others_are_not_listed() {
        let mut tree = Tree::new(0);
        for path in ["usr/bin/memcg-trace", "usr/share/doc/memcg-trace/a", "usr/share/doc/memcg-trace/b"] {
            tree.file(path, Vec::new());
        }
        tree.file("usr/share/licenses/memcg-trace/MIT", Vec::new());
        tree.file("usr/share/zsh/site-functions/_memcg-trace", Vec::new());
        assert_eq!(
            listed(&tree),
            "/usr/bin/memcg-trace\n%dir /usr/share/doc/memcg-trace\n%doc /usr/share/doc/memcg-trace/a\n\
             %doc /usr/share/doc/memcg-trace/b\n%dir /usr/share/licenses/memcg-trace\n\
             %license /usr/share/licenses/memcg-trace/MIT\n%dir /usr/share/zsh\n\
             %dir /usr/share/zsh/site-functions\n/usr/share/zsh/site-functions/_memcg-trace\n"
        );
    }
}
