//! `memcg-trace replay`: shows a recorded run.

use std::{fs::File, io::BufWriter, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use super::follow::{Printer, Shown};
use crate::{
    exit::Exit,
    record::recording::{Damage, Reader},
    session::{Book, Replayed, replay},
    streams::{Stdout, say},
};

/// Show a recording of `trace --record` as the run itself was shown
///
/// With the same options as the run, the output is the same, byte for byte; other options show the same events
/// differently. Needs neither privileges nor the machine or kernel of the recording. A truncated recording (the run was
/// killed, the disk was full) is shown as far as it goes; the result is then inconclusive.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Time after which a removed memcg that is not freed counts as leaked [default: as recorded]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
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
        let file = File::open(&self.file).with_context(|| format!("cannot open {path}"))?;
        let mut reader = Reader::open(file).with_context(|| format!("cannot replay {path}"))?;
        let mut start = reader.start().clone();
        say(&format!(
            "replaying {path}: Linux {}, {}, {} backend",
            start.kernel, start.controller, start.backend
        ));
        if let Some(grace) = self.grace {
            start.grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        }
        let mut book = Book::new(start, self.shown.rollup());
        let out = BufWriter::new(Stdout::new());
        let mut printer = Printer::new(book.start(), &self.shown, self.count, out)?;
        match replay(&mut reader, &mut book, &mut printer)? {
            Replayed::Whole(end) => printer.finish(&book, &end, None),
            Replayed::Until(damage) => {
                say(&format!(
                    "cannot replay all of {path}: {damage}; showing everything before that; record again for more"
                ));
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
