//! The options for output shared by `trace` and `replay`, and the observer that prints it.

mod filter;
mod printer;

use std::time::Duration;

pub use self::printer::Printer;
use super::args::{self, OutputArgs};
use crate::{
    attribution::ByOwner,
    report::view::EventKind,
    session::{CgroupGlob, Rollup},
};

/// Selection and format of the output.
#[derive(Clone, Debug, clap::Args)]
pub struct Shown {
    /// Show and list only memcgs whose path matches, for example '/kubepods/**' (the counts cover all)
    #[arg(long, value_name = "GLOB")]
    pub cgroup: Option<CgroupGlob>,

    /// Show only events of memcgs that have been dying for at least this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = args::duration)]
    pub min_age: Duration,

    /// Show only these events
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',')]
    pub events: Vec<EventKind>,

    /// Also summarise by owner: memcgs created, still dying, and the memory they hold
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub by: Option<ByOwner>,

    /// Exit with 3 if any memcg leaked
    #[arg(long)]
    pub fail_on_leak: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

impl Shown {
    /// `--by`, of the memcgs that `--cgroup` leaves.
    pub fn rollup(&self) -> Option<Rollup> {
        self.by.map(|by| Rollup::new(by).only(self.cgroup.clone()))
    }
}
