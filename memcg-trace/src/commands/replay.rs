//! `memcg-trace replay`: shows a recorded run.

use std::{io::BufWriter, path::PathBuf, time::Duration};

use anyhow::Result;

use super::{
    args,
    follow::{Printer, Shown},
    recorded::{Recorded, WindowArgs},
};
use crate::{
    exit::Exit,
    record::recording::Damage,
    session::{Replayed, book_of, replay},
    streams::{Stdout, say},
};

/// Show a recording of `trace --record` or --record-dir as the run itself was shown
///
/// With the same options as the run, the output is the same, byte for byte; other options show the same events
/// differently. Needs neither privileges nor the machine or kernel of the recording. A truncated recording (the run was
/// killed, the disk was full) is shown as far as it goes; the result is then inconclusive.
///
/// The recordings of a directory are shown as one. Time that nothing was recorded of, because the tool was killed or the disk
/// was full, is a line "OUTAGE" of its own.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The recording, or a directory of --record-dir
    #[arg(value_name = "FILE|DIR")]
    pub file: PathBuf,

    #[command(flatten)]
    pub window: WindowArgs,

    /// Time after which a removed memcg that is not freed counts as leaked [default: as recorded]
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    pub grace: Option<Duration>,

    /// Show only this many lines; the summary covers the whole run
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    #[command(flatten)]
    pub shown: Shown,
}

impl Args {
    pub fn run(self) -> Result<Exit> {
        let path = self.file.display();
        let recorded = Recorded::find(&self.file, &self.window)?;
        let mut recording = recorded.open()?;
        let mut start = recorded.start(recording.start());
        say(&format!(
            "replaying {path}: Linux {}, {}, {} backend",
            start.kernel, start.controller, start.backend
        ));
        if let Some(grace) = self.grace {
            start.grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        }
        let mut book = book_of(&mut recording, start, self.shown.rollup());
        let out = BufWriter::new(Stdout::new());
        let mut printer = Printer::new(book.start(), &self.shown, self.count, out)?;
        match replay(&mut recording, &mut book, &mut printer)? {
            Replayed::Whole(end) => printer.finish(&book, &end, None),
            Replayed::Until(damage) => {
                say(&format!("cannot replay all of {path}: {damage}; showing everything before that"));
                printer.cut_off(&book, reason(&damage))
            }
        }
    }
}

/// The damage as shown in a view, without details from the operating system.
pub(super) fn reason(damage: &Damage) -> &'static str {
    match damage {
        Damage::CutOff => "the recording was cut off",
        Damage::Corrupt(_) => "the recording is damaged",
        Damage::Io(_) => "the recording cannot be read further",
    }
}
