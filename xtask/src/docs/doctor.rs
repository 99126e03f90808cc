//! The cases that docs/DOCTOR.md shows: what doctor says on each kernel, and where something is missing.

use std::ffi::OsString;
use std::process::Output as Ended;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process;
use crate::vm::{Cgroup, Init, Kernel, Output, Vm};
use crate::workspace::Workspace;

/// Text before the cases.
pub const INTRODUCTION: &str = include_str!("doctor.txt");

/// One run of doctor, under a heading of its own.
pub struct Case {
    /// What begins with this case, if anything.
    pub chapter: &'static str,
    pub title: &'static str,
    machine: Machine,
    /// A shell script that ends in doctor's exit code.
    script: &'static str,
}

/// Where a case is run.
enum Machine {
    /// This one.
    Here,
    Vm {
        series: &'static str,
        cgroup: Cgroup,
        append: &'static str,
    },
}

/// A pod whose container leaves 3 MiB in /dev/shm; then doctor. `$root` is where memory is.
const ONE_POD: &str = "
pods=$root/kubepods pod=$root/kubepods/pod0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9
mkdir $pods
[ ! -e $pods/cgroup.subtree_control ] || echo +memory >$pods/cgroup.subtree_control
mkdir $pod
sh -c \"echo \\$\\$ >$pod/cgroup.procs; exec dd if=/dev/zero of=/dev/shm/cache bs=1M count=3 2>/dev/null\"
rmdir $pod
sleep 1
memcg-trace doctor --self-test";

/// 65,533 cgroups: with the root and `many` all memcg IDs. A directory of v2 that has children holds no tasks, and needs none.
const ALL_IDS: &str = "
mkdir $root/many
echo +memory >$root/many/cgroup.subtree_control
seq -f $root/many/%.0f 1 65533 | xargs mkdir
memcg-trace doctor --self-test";

pub const CASES: &[Case] = &[
    vm(
        "\n## On the kernels of the tests\n\n\
         In each VM one pod wrote 3 MiB to /dev/shm and was removed: where pages pin memcgs, its memcg stays.\n",
        "Linux 5.10, cgroup v1",
        ("5.10", Cgroup::V1, ""),
        ONE_POD,
    ),
    vm("", "Linux 5.10, cgroup v2", ("5.10", Cgroup::V2, ""), ONE_POD),
    vm("", "Linux 6.1, cgroup v1", ("6.1", Cgroup::V1, ""), ONE_POD),
    vm("", "Linux 6.1, cgroup v2", ("6.1", Cgroup::V2, ""), ONE_POD),
    vm("", "Linux 6.12, cgroup v2", ("6.12", Cgroup::V2, ""), ONE_POD),
    vm("", "Linux 7.2, cgroup v2", ("7.2", Cgroup::V2, ""), ONE_POD),
    here("", "On the machine that wrote this page", "memcg-trace doctor --self-test"),
    here(
        "\n## Where something is missing\n",
        "Without privileges",
        "setpriv --reuid 65534 --regid 65534 --clear-groups memcg-trace doctor --self-test",
    ),
    here(
        "",
        "Without BTF",
        "unshare --mount sh -c 'mount -t tmpfs none /sys/kernel/btf; memcg-trace doctor --self-test'",
    ),
    vm(
        "",
        "Locked down (lockdown=confidentiality)",
        ("6.12", Cgroup::V2, "lockdown=confidentiality"),
        "mount -t securityfs securityfs /sys/kernel/security
memcg-trace doctor --self-test",
    ),
    vm("", "All memcg IDs in use (65,533 live cgroups)", ("6.1", Cgroup::V2, ""), ALL_IDS),
];

const fn vm(
    chapter: &'static str,
    title: &'static str,
    (series, cgroup, append): (&'static str, Cgroup, &'static str),
    script: &'static str,
) -> Case {
    Case { chapter, title, machine: Machine::Vm { series, cgroup, append }, script }
}

const fn here(chapter: &'static str, title: &'static str, script: &'static str) -> Case {
    Case { chapter, title, machine: Machine::Here, script }
}

impl Case {
    /// Its heading and what doctor says.
    pub fn run(&self, workspace: &Workspace) -> Result<String> {
        let (output, code) = match self.machine {
            Machine::Here => self.run_here(workspace)?,
            Machine::Vm { series, cgroup, append } => self.run_in_vm(workspace, series, cgroup, append)?,
        };
        let output = String::from_utf8_lossy(&output);
        Ok(format!("{}\n```\n{}\nexit {code}\n```\n", self.heading(), output.trim_end()))
    }

    fn heading(&self) -> String {
        format!("\n### {}\n", self.title)
    }

    /// What a page that was written before has of this case.
    pub fn part_of(&self, page: &str) -> Option<String> {
        let start = page.find(&self.heading())?;
        let (heading, rest) = page[start..].split_at(self.heading().len());
        let end = rest.find("\n## ").into_iter().chain(rest.find("\n### ")).min();
        Some(format!("{heading}{}", &rest[..end.unwrap_or(rest.len())]))
    }

    fn run_here(&self, workspace: &Workspace) -> Result<(Vec<u8>, i32)> {
        let directory = workspace.loader().with_file_name("");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = process::as_root("env")?;
        command.arg(format!("PATH={}:{path}", directory.display())).args(["sh", "-c", self.script]);
        let Ended { stdout, status, .. } = command.output().context("cannot run sh")?;
        Ok((stdout, status.code().context("doctor was ended by a signal")?))
    }

    fn run_in_vm(
        &self,
        workspace: &Workspace,
        series: &str,
        cgroup: Cgroup,
        append: &str,
    ) -> Result<(Vec<u8>, i32)> {
        let root = match cgroup {
            Cgroup::V1 => "/sys/fs/cgroup/memory",
            Cgroup::V2 => "/sys/fs/cgroup",
        };
        // By way of a file: on a serial console the output would be a terminal's, with colours.
        let script = format!("root={root}\n({}) >/tmp/page; code=$?; cat /tmp/page; exit $code", self.script);
        let vm = Vm {
            kernel: Kernel::find(series, false)?,
            cgroup,
            init: Init::Busybox,
            memory_mb: 4096,
            cpus: 2,
            append: append.to_owned(),
            kvm: false,
            modules: Vec::new(),
            files: vec![(workspace.loader(), "/bin/memcg-trace".into())],
            environment: Vec::new(),
            command: ["sh", "-c", &script].map(OsString::from).to_vec(),
            timeout: Duration::from_secs(1800),
        };
        let run = vm.run(workspace, Output::Capture)?;
        Ok((run.stdout, run.code.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_again() {
        let page = |case: &Case| format!("{}\n```\n{} says\n```\n", case.heading(), case.title);
        let pages: String = CASES.iter().map(|case| format!("{}{}", case.chapter, page(case))).collect();
        for case in CASES {
            assert_eq!(case.part_of(&pages), Some(page(case)), "{}", case.title);
        }
        assert_eq!(CASES[0].part_of("# Another page\n"), None);
    }
}
