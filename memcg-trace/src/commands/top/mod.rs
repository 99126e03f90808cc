//! `memcg-trace top`: a run, or a recording, on the screen.

mod display;
mod frame;
mod live;
mod replay;
pub mod terminal;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::Result;
use ratatui::layout::Rect;

use super::{
    args::{self, BtfArg, ColorArg, NamesArgs},
    recorded::WindowArgs,
    trace::BackendChoice,
};
use crate::{exit::Exit, screen::Tab};

/// Watch memcgs on the whole screen: what leaks, whose it is, what pins it
///
/// The header has what the node is short of: memcg IDs in use and for how long they will last, memcgs that are dying and
/// leaked, what they are charged for, and whether any of this may be wrong because events were lost. Below are lists of
/// leaked memcgs, workloads, pins, slab caches and events: sort (s), filter (/), open one (Enter), help (?).
///
/// With --replay the same screen shows a recording of "memcg-trace trace --record", at any time of it: a bug report can be walked
/// through without the machine that it is from.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Show a recording, or those of a directory of --record-dir, at the end: Space plays it from its start
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["grace", "backend", "no_walk", "slab", "record", "btf", "host_root", "no_names"])]
    pub replay: Option<PathBuf>,

    #[command(flatten)]
    pub window: WindowArgs,

    /// Show the recording as of this time after its start
    #[arg(long, value_name = "TIME", requires = "replay", value_parser = args::duration)]
    pub at: Option<Duration>,

    /// Begin with this list
    #[arg(long, value_enum, value_name = "LIST", default_value_t = Tab::Leaked)]
    pub tab: Tab,

    /// Time after which a removed memcg that is not freed counts as leaked
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = args::duration)]
    pub grace: Duration,

    /// Source of events; auto uses the best that this kernel supports
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,

    /// Skip the initial walk: zombies from before the start stay unknown, and lost events cannot be reconciled
    #[arg(long)]
    pub no_walk: bool,

    /// Also follow slab caches; they are not part of a recording
    #[arg(long)]
    pub slab: bool,

    /// Record the run to this file, for "memcg-trace replay" and "top --replay"; the key w begins a recording at any time
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub names: NamesArgs,

    #[command(flatten)]
    pub color: ColorArg,

    /// Columns and lines of the text where standard output is no terminal
    #[arg(long, value_name = "COLUMNSxLINES", default_value = "120x40")]
    pub size: FrameSize,
}

const EXAMPLES: &str = "\
Where standard output is no terminal, one frame is written as text, and the exit code is 0.

Examples:
  memcg-trace top                                      this node
  memcg-trace top --slab --grace 2m                    slab caches, too; leaked is what is dying for two minutes
  memcg-trace trace --record ticket.recording          on the sick node, then wherever it is looked at:
  memcg-trace top --replay ticket.recording
  memcg-trace top --replay /var/lib/memcg-trace --since 02:50 --until 03:30
  memcg-trace top --replay ticket.recording --tab pins --at 90s --size 100x30 | cat

Keys (? shows all):
  1-5 Tab   lists        Enter   open a memcg       Space   pause, or play
  s r       sort         /       filter             w       record
  t T . ,   replay: a second, an event, forward and back; > < a tenth; + - its speed
  q         leave        y       copies the command that explains the memcg that is open";

/// `--size`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    columns: u16,
    lines: u16,
}

impl FrameSize {
    /// More than any terminal has.
    const MOST: u16 = 1_000;

    fn rect(self) -> Rect {
        Rect::new(0, 0, self.columns, self.lines)
    }
}

impl FromStr for FrameSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (columns, lines) = text.split_once('x').ok_or("not of the form 120x40")?;
        let number = |text: &str| text.parse().ok().filter(|number| (1..=Self::MOST).contains(number));
        let wrong = || format!("not two numbers up to {}", Self::MOST);
        Ok(Self { columns: number(columns).ok_or_else(wrong)?, lines: number(lines).ok_or_else(wrong)? })
    }
}

impl Args {
    pub fn run(self) -> Result<Exit> {
        match &self.replay {
            Some(file) => replay::run(&self, file),
            None => live::run(&self),
        }
    }

    /// Whether somebody watches: both what is drawn on and what is typed on are terminals.
    fn interactive() -> bool {
        io::stdout().is_terminal() && io::stdin().is_terminal()
    }
}
