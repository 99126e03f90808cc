//! Runs of memcg-trace that pages show: on the kernels of the tests, on this machine, and where something is missing.

use std::ffi::OsString;
use std::process::Output as Ended;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process;
use crate::vm::{Cgroup, Init, Kernel, Output, Vm};
use crate::workspace::Workspace;

/// One run, under a heading of its own.
pub struct Case {
    /// What begins with this case, if anything.
    pub chapter: &'static str,
    pub title: &'static str,
    machine: Machine,
    /// A shell script that ends in the exit code of memcg-trace.
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

/// In a VM: series of the kernel, hierarchy, kernel command line. `$root` is where memory is.
pub const fn vm(
    chapter: &'static str,
    title: &'static str,
    (series, cgroup, append): (&'static str, Cgroup, &'static str),
    script: &'static str,
) -> Case {
    Case { chapter, title, machine: Machine::Vm { series, cgroup, append }, script }
}

/// On this machine.
pub const fn here(chapter: &'static str, title: &'static str, script: &'static str) -> Case {
    Case { chapter, title, machine: Machine::Here, script }
}

impl Case {
    /// Its heading and what was printed.
    pub fn run(&self, workspace: &Workspace) -> Result<String> {
        let (output, code) = self.run_on_machine(workspace)?;
        Ok(format!("{}\n```\n{}\nexit {code}\n```\n", self.heading(), output.trim_end()))
    }

    /// What was printed, if all went well.
    pub fn print(&self, workspace: &Workspace) -> Result<String> {
        let (output, code) = self.run_on_machine(workspace)?;
        ensure!(code == 0, "exit code {code}: {output}");
        Ok(output)
    }

    fn run_on_machine(&self, workspace: &Workspace) -> Result<(String, i32)> {
        let (output, code) = match self.machine {
            Machine::Here => self.run_here(workspace)?,
            Machine::Vm { series, cgroup, append } => self.run_in_vm(workspace, series, cgroup, append)?,
        };
        Ok((String::from_utf8_lossy(&output).into_owned(), code))
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
        Ok((stdout, status.code().context("memcg-trace was ended by a signal")?))
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
            kernel: Kernel::find(series, workspace.arch, false)?,
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
        let mut stdout = Vec::new();
        let run = vm.run(workspace, Output::Stdout(&mut stdout))?;
        Ok((stdout, run.code.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::doctor::CASES;

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
