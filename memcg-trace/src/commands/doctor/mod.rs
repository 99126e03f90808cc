//! `memcg-trace doctor`: what works here, what is wrong with this node, and what to do.

mod abilities;
mod node;
mod runtimes;
mod self_test;

use std::{
    io::{self, BufWriter, Write as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::Result;

use self::{abilities::Abilities, self_test::SelfTest};
use super::{Format, page};
use crate::{
    diagnosis::{Limits, diagnose},
    exit::Exit,
    kernel::{boot, privileges},
    report::{
        json, text,
        view::{DoctorView, Verdict},
    },
};

/// Say what works here, what this node suffers from, and what to do
///
/// Asks everything that the other commands need, and goes on after a no: each says its reason and the next step. Then it
/// looks at the node twice, and judges. It needs no privileges for a part of the answers; it changes nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    /// Create and remove one cgroup, and check that every hook fires, in order
    #[arg(long)]
    pub self_test: bool,

    /// Time between the two looks; from 10s on, trends are shown
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pub watch: Duration,

    /// From this many cgroups that stay dying on, the node is sick
    #[arg(long, value_name = "N", default_value_t = Limits::MAX_DYING)]
    pub max_dying: u64,

    /// Type information of exactly this kernel, where /sys/kernel/btf/vmlinux does not exist: raw BTF, a vmlinux with a section
    /// .BTF, or a .btf.tar.xz of BTFHub
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,

    /// Output format; json is one object a line
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
}

const HOW_TO_READ: &str = "\
A node is sick (exit code 3) if
  - --max-dying memcgs or cgroups of another controller stay dying, that is, are dying at both looks
  - memory that they keep is 5 % or more of the machine's
  - 90 % or more of the 65,535 memcg IDs are in use
  - no cgroup can be created, with ENOSPC, EBUSY or ENOMEM (--self-test)

It is inconclusive (4) if one of these could not be told, or if a hook did not fire in the self-test. It ends with 69 only
where there is no memory controller to ask. What does not work here changes neither.

What is known for a release is knowledge from a table, not a finding: this kernel may have been patched. Confirm it by
`memcg-trace verify`.

Examples:
  memcg-trace doctor --self-test                does everything work on this kernel?
  memcg-trace doctor --watch 5m                 how fast does it get worse?
  memcg-trace doctor -o json | jq -r 'select(.type == \"remedy\") | .action'";

impl Args {
    /// Asks, looks, judges, prints.
    pub fn run(self) -> Result<Exit> {
        let mut abilities = Abilities::find(self.btf.as_deref());
        let test =
            self.self_test.then(|| SelfTest::run(abilities.options.as_ref(), abilities.controller.as_ref()));
        if let Some(SelfTest { answer, .. }) = &test {
            abilities.add("self-test", answer.clone());
        }
        privileges::drop_unneeded();
        let release = boot::release();
        let node = abilities.controller.as_ref().map(|controller| {
            let mut node = node::examine(
                controller,
                &mut abilities.walk,
                node::Means { caches: abilities.caches.as_mut(), pins: abilities.pins.as_mut() },
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
            node.as_ref().zip(diagnosis.as_ref()),
        );
        self.print(&view)?;
        Ok(match view.verdict {
            Verdict::Healthy => Exit::Done,
            Verdict::Sick => Exit::Leak,
            Verdict::Inconclusive => Exit::Inconclusive,
            Verdict::Unsupported => Exit::Unsupported,
        })
    }

    fn print(&self, view: &DoctorView<'_>) -> Result<()> {
        let mut out = BufWriter::new(io::stdout());
        match self.output {
            Format::Text => text::doctor(&mut out, view, page(self.color, false, true))?,
            Format::Json => json::doctor(&mut out, view)?,
        }
        Ok(out.flush()?)
    }
}
