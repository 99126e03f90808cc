//! `memcg-trace doctor`: reports which features work here, the state of this node, and remedies.

mod abilities;
mod node;
mod runtimes;
mod self_test;

use std::{
    io::{BufWriter, Write as _},
    time::Duration,
};

use anyhow::Result;

use self::{abilities::Abilities, self_test::SelfTest};
use super::{
    args::{self, BtfArg, Format, HostRootArg, OutputArgs},
    progress::Progress,
};
use crate::{
    diagnosis::{Limits, diagnose},
    exit::Exit,
    kernel::{ability::AbilityId, boot, privileges},
    report::{
        json, text,
        view::{DoctorView, NodeVerdict},
    },
    streams::Stdout,
};

/// Check which features work here, diagnose this node, and suggest remedies
///
/// Checks everything that the other commands need, and continues after a no, which comes with its reason and the next
/// step. Then examines the node, a second time after --watch where that tells more, and judges it. Some checks need no
/// privileges; nothing is changed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    /// Create and remove one cgroup, and check that every hook fires, in order
    #[arg(long)]
    pub self_test: bool,

    /// Time between the two examinations; from 10s on, trends are shown
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = args::duration)]
    pub watch: Duration,

    /// Call the node sick from this many persistently dying cgroups
    #[arg(long, value_name = "N", default_value_t = Limits::MAX_DYING)]
    pub max_dying: u64,

    /// For node-problem-detector: one line of at most 80 bytes; exit code 0 if the node is healthy, 1 if it is sick, 2
    /// if that could not be told
    #[arg(long, conflicts_with = "format")]
    pub npd: bool,

    #[command(flatten)]
    pub host: HostRootArg,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub output: OutputArgs,
}

const HOW_TO_READ: &str = "\
A node is sick (exit code 3) if
  - --max-dying memcgs or cgroups of another controller are persistently dying, that is, at both examinations
  - zombies hold 5 % or more of the machine's memory
  - 90 % or more of the 65,535 memcg IDs are in use
  - no cgroup can be created, with ENOSPC, EBUSY or ENOMEM (--self-test)

It is inconclusive (4) if one of these could not be determined, or if a hook did not fire in the self-test. The exit code is
69 only if there is no memory controller. Features that do not work here affect neither.

Bugs known for a release come from a table and are not findings: this kernel may have been patched. Confirm them with
`memcg-trace verify`.

Examples:
  memcg-trace doctor --self-test                does everything work on this kernel?
  memcg-trace doctor --watch 5m                 how fast does it grow?
  memcg-trace doctor -o json | jq -r 'select(.type == \"remedy\") | .action'";

impl Args {
    /// Probes, examines, judges and prints.
    pub fn run(self) -> Result<Exit> {
        let progress = Progress::start("examining this node".to_owned());
        let mut abilities = Abilities::find(self.btf.file(), &self.host.host_root);
        let test =
            self.self_test.then(|| SelfTest::run(abilities.options.as_ref(), abilities.controller.as_ref()));
        if let Some(SelfTest { answer, .. }) = &test {
            abilities.add(AbilityId::SelfTest, answer.clone());
        }
        privileges::drop_unneeded();
        let release = boot::release();
        let node = abilities.controller.as_ref().map(|controller| {
            let mut node = node::examine(
                controller,
                &mut abilities.walk,
                node::PinSources { caches: abilities.caches.as_mut(), pins: abilities.pins.as_mut() },
                &release,
                self.watch,
            );
            node.mkdir_errno = test.as_ref().and_then(|test| test.errno);
            node.hooks_fired = test.as_ref().and_then(|test| test.fired);
            node
        });
        let limits = Limits { max_dying: self.max_dying };
        let diagnosis = node.as_ref().map(|node| diagnose(node, &limits));
        let controller = abilities.controller.as_ref().map(ToString::to_string);
        let view = DoctorView::new(
            &release,
            controller,
            abilities.backend,
            &abilities.answers,
            abilities.confinement,
            node.as_ref().zip(diagnosis.as_ref()),
        );
        drop(progress);
        self.print(&view)?;
        if self.npd {
            return Ok(npd_exit(view.verdict));
        }
        Ok(match view.verdict {
            NodeVerdict::Healthy => Exit::Done,
            NodeVerdict::Sick => Exit::Leak,
            NodeVerdict::Inconclusive => Exit::Inconclusive,
            NodeVerdict::Unsupported => Exit::Unsupported,
        })
    }

    fn print(&self, view: &DoctorView<'_>) -> Result<()> {
        let mut out = BufWriter::new(Stdout::new());
        match self.output.format {
            _ if self.npd => text::npd(&mut out, view)?,
            Format::Text => text::doctor(&mut out, view, self.output.page())?,
            Format::Json => json::doctor(&mut out, view)?,
        }
        Ok(out.flush()?)
    }
}

/// The codes of custom plugins of node-problem-detector (pkg/custompluginmonitor/types/types.go): OK, not OK, unknown.
fn npd_exit(verdict: NodeVerdict) -> Exit {
    match verdict {
        NodeVerdict::Healthy => Exit::Done,
        NodeVerdict::Sick => Exit::Failed,
        NodeVerdict::Inconclusive | NodeVerdict::Unsupported => Exit::Usage,
    }
}
