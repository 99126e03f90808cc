//! `memcg-trace report`: one HTML file about a run, for a ticket or a mailing list.

mod file;
mod watched;

use std::{
    io::{self, IsTerminal as _},
    mem,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::watched::Watched;
use super::{
    args::{self, BtfArg, NamesArgs},
    recorded::WindowArgs,
    text_file,
    trace::BackendChoice,
};
use crate::{
    exit::Exit,
    report::{html, view::MatrixColumn},
    streams::say,
};

/// Write a run as one HTML page that anybody can open: what leaks, whose it is, what pins it, what helps
///
/// From a recording of `trace --record` or --record-dir, as it was, or live from this node. The page is a single file without scripts that
/// loads nothing: it can be sent by mail, attached to a ticket, printed. It has cgroup paths, task names and container names in
/// it, so the file is readable by its owner only; send it to whom you would send the recording.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The recording, or a directory of --record-dir; without one, this node is traced
    #[arg(value_name = "RECORDING")]
    pub recording: Option<PathBuf>,

    #[command(flatten)]
    pub window: WindowArgs,

    /// A recording from before a change, a fix for example: both runs side by side, what changed first
    #[arg(long, value_name = "RECORDING")]
    pub before: Option<PathBuf>,

    /// Instead of a run: the verdicts of several kernels as one matrix, from the outputs of verify -o json
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["recording", "before", "grace", "duration"])]
    pub verdicts: Vec<PathBuf>,

    /// Write the page to this file [default: standard output]
    #[arg(short, long, value_name = "FILE.html")]
    pub output: Option<PathBuf>,

    /// Time after which a removed memcg that is not freed counts as leaked [default: as recorded; live: 30s]
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    pub grace: Option<Duration>,

    /// Trace this node for this time; Ctrl-C ends it earlier, with the page of what was seen
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = args::duration, conflicts_with = "recording")]
    pub duration: Duration,

    /// Source of events, as for trace
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto, conflicts_with = "recording")]
    pub backend: BackendChoice,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub names: NamesArgs,
}

const EXAMPLES: &str = "\
Examples:
  memcg-trace report --duration 10m -o node.html            this node, for ten minutes
  memcg-trace trace --record run; memcg-trace report run -o run.html
  memcg-trace report /var/lib/memcg-trace --since 03:00 --until 03:30 -o night.html
  memcg-trace report --before old.recording new.recording -o fix.html
  memcg-trace report --verdicts 6.12.json 7.1.json -o kernels.html

The exit code is 4 if the run is inconclusive; the page is written all the same, and says so.";

impl Args {
    pub fn run(self) -> Result<Exit> {
        if self.output.is_none() && io::stdout().is_terminal() {
            bail!("a page of HTML is nothing for a terminal; pass -o FILE.html");
        }
        if !self.verdicts.is_empty() {
            return self.matrix();
        }
        // Before anything is traced for minutes.
        let before = self
            .before
            .as_deref()
            .map(|path| Watched::recorded(path, &WindowArgs::default(), self.grace))
            .transpose()?;
        let after = match &self.recording {
            Some(path) => Watched::recorded(path, &self.window, self.grace)?,
            None => Watched::live(&self)?,
        };
        let (view, before_view) = (after.view(), before.as_ref().map(Watched::view));
        let mut page = Vec::new();
        html::report(&mut page, &view, before_view.as_ref())?;
        self.write(&page)?;
        let conclusive =
            [Some(&view), before_view.as_ref()].into_iter().flatten().all(|view| view.summary.conclusive);
        // The process ends: to free tens of thousands of memcgs one by one would take a fifth of its time.
        mem::forget((view, before_view));
        mem::forget((after, before));
        Ok(if conclusive { Exit::Done } else { Exit::Inconclusive })
    }

    fn matrix(&self) -> Result<Exit> {
        let column = |path: &PathBuf| {
            let text = text_file::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            MatrixColumn::parse(&text).with_context(|| format!("cannot use {}", path.display()))
        };
        let columns = self.verdicts.iter().map(column).collect::<Result<Vec<_>>>()?;
        let mut page = Vec::new();
        html::verify(&mut page, &columns)?;
        self.write(&page)?;
        Ok(Exit::Done)
    }

    fn write(&self, page: &[u8]) -> Result<()> {
        file::write(self.output.as_deref(), page)?;
        if let Some(path) = &self.output {
            say(&format!("written to {}", path.display()));
        }
        Ok(())
    }
}
