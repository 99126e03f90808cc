//! `memcg-trace explain`: what pins dying memcgs, and what frees them.

use std::io::{BufWriter, Write as _};

use anyhow::{Context as _, Result};

use super::{
    args::{BtfArg, Format, OutputArgs},
    dying::{TargetArgs, WalkedMemcgs},
    progress::Progress,
};
use crate::{
    cause,
    exit::Exit,
    kernel::{
        self, Kernel, clock,
        pins::{LookOptions, Pins, ScanMemory},
        privileges,
    },
    report::{
        json, text,
        view::{ExplainBy, ExplainRequest, ExplainView, Explained, Viewpoint},
    },
    source::take_walk,
    streams::Stdout,
    units::Count,
};

/// Say what pins dying memcgs, each reference by name, and what frees them
///
/// A removed memcg stays for as long as something refers to it. Its references are counted, everything that can refer to
/// it is looked for in the kernel's memory, and the references are counted again: the parts that are named sum up to the
/// count, and what does not is printed as unexplained. Each part comes with who has it and the least that frees it, as
/// a command that can be pasted. Nothing is changed.
///
/// Without a question, all dying memcgs are looked at and those with the most references are listed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    #[command(flatten)]
    pub targets: TargetArgs,

    /// List all memcgs and all that pins them, not only those with the most references
    #[arg(long, conflicts_with = "top")]
    pub all: bool,

    /// Sum up by what they have in common instead of listing memcgs
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<ExplainBy>,

    /// List only the first N memcgs or groups, and as many pins of each memcg [text: 10; json: all]
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,

    /// Whether to look at every page of the machine's memory, for pages that are on no list; auto: where references would
    /// stay unexplained; always: also compare it with what the lists have
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub scan_memory: When,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// `--scan-memory`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    Auto,
    Never,
    Always,
}

/// Longest lists where nobody asks for longer ones.
const TOP: usize = 10;

const HOW_TO_READ: &str = "\
How to read it:
  REFS           one reference pins a memcg as well as a thousand. Up to Linux 7.0 each folio of page cache, tmpfs or
                 anonymous memory has one, be it a page or a huge page; since 7.1 memory pins nothing. A task, a
                 namespace, a socket, an inotify group and all swap entries together have one each
  held by        who could let go, as of the look; pids are those of the initial pid namespace
  free by        the least that frees these references, for a POSIX shell: no file name in it can become a command
  to free        nothing that can be pasted, but this
  moved          the count changed while it was read; any sum between the two counts is right
  unexplained    nothing was found that has these references; \"not read\" says where they may be. Exit code 4

Examples:
  memcg-trace explain                       the largest ones, and the sums
  memcg-trace explain 17db96a24ae1          those of a container
  memcg-trace explain --by file --top 50    which files to remove or to drop from the cache
  memcg-trace explain --by holder           which processes hold most
  memcg-trace explain --all -o json | jq -r 'select(.type == \"pin\" and .act_is_command) | .act'";

impl Args {
    /// Walks, picks, looks, prints.
    pub fn run(self) -> Result<Exit> {
        let kernel = Kernel::probe(self.btf.file())?;
        let mut walk = kernel.load_walk().context("cannot list dying memcgs")?;
        let pins = Pins::open(&kernel, self.btf.file());
        let mut pins = pins
            .context("cannot find out what pins memcgs; memcg-trace scan shows what they are charged for")?;
        let resolver = self.targets.names.resolver()?;
        privileges::drop_unneeded();

        let walked = WalkedMemcgs::new(&take_walk(&mut walk)?, resolver);
        let keys = walked.dying(&self.targets.targets, &kernel.controller)?;

        let look = {
            let memcgs = Count(keys.len() as u64);
            let _progress = Progress::start(format!("looking for what refers to {memcgs} memcgs"));
            let scan_memory = match self.scan_memory {
                When::Auto => ScanMemory::Auto,
                When::Never => ScanMemory::Never,
                When::Always => ScanMemory::Always,
            };
            let options = LookOptions { scan_memory, ..LookOptions::default() };
            pins.look(&keys, &options).context("cannot read what refers to memcgs")?
        };
        let explained = Explained {
            backend: pins.means(),
            began_ns: look.began_ns,
            ended_ns: look.ended_ns,
            explanations: cause::explain(&look),
            map: look.map,
            unread: look.unread.into_iter().map(|unread| (unread.what.to_owned(), unread.why)).collect(),
        };
        self.print(&walked, &explained)
    }

    fn print(&self, walked: &WalkedMemcgs, explained: &Explained) -> Result<Exit> {
        let most = match (self.top, self.output.format) {
            (None, Format::Text) if !self.all => Some(TOP),
            (top, _) => top,
        };
        let viewpoint = Viewpoint {
            clock: clock::offsets(),
            page_bytes: kernel::page_bytes() as u64,
            dying_unseen: Some(0),
        };
        let request = ExplainRequest { by: self.by, top: most };
        let container = |memcg: &_| walked.container_of(memcg);
        let view = ExplainView::new(explained, &walked.tracker, &viewpoint, request, container);
        let mut out = BufWriter::new(Stdout::new());
        match self.output.format {
            Format::Text => text::explain(&mut out, &view, most, self.output.page())?,
            Format::Json => json::explain(&mut out, &view)?,
        }
        out.flush()?;
        Ok(if view.conclusive { Exit::Done } else { Exit::Inconclusive })
    }
}
