//! `memcg-trace replay`: what a recorded run showed.

use std::{fs::File, io, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use super::follow::{Printer, Shown};
use crate::{
    exit::Exit,
    record::recording::{Damage, Reader},
    session::{Book, Replayed, replay},
};

/// Show a recording of `trace --record` as the run itself would have been shown
///
/// With the options of the run it prints what the run printed, byte for byte; with others it shows the same events
/// otherwise. It needs neither privileges nor the machine or the kernel of the recording. A recording that was cut off,
/// because the run was killed or the disk was full, is shown as far as it goes; the answer is then inconclusive.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How long a removed memcg may stay before it counts as leaked [default: as when recorded]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub grace: Option<Duration>,

    /// Show only this many lines; the summary is about the whole run
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    #[command(flatten)]
    pub shown: Shown,
}

impl Args {
    pub fn run(self) -> Result<Exit> {
        let path = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("cannot open {path}"))?;
        let mut reader = Reader::open(file).with_context(|| format!("cannot replay {path}"))?;
        let mut start = reader.start().clone();
        eprintln!(
            "memcg-trace: replaying {path}: Linux {}, {}, {} backend",
            start.kernel, start.controller, start.backend
        );
        if let Some(grace) = self.grace {
            start.grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        }
        let mut book = Book::new(start, self.shown.by);
        let out = io::BufWriter::new(io::stdout());
        let mut printer = Printer::new(book.start(), &self.shown, self.count, out)?;
        match replay(&mut reader, &mut book, &mut printer)? {
            Replayed::Whole(end) => printer.finish(&book, &end, None),
            Replayed::Until(damage) => {
                eprintln!(
                    "memcg-trace: cannot replay all of {path}: {damage}; what came before is shown, record again for more"
                );
                printer.cut_off(&book, reason(&damage))
            }
        }
    }
}

/// The damage in the words of a view: what the machine says of it stays out of the output.
fn reason(damage: &Damage) -> &'static str {
    match damage {
        Damage::CutOff => "the recording was cut off",
        Damage::Corrupt(_) => "the recording is damaged",
        Damage::Io(_) => "the recording cannot be read further",
    }
}
