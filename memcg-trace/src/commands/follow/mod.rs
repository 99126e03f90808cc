//! The options for output shared by `trace` and `replay`, and the observer that prints it.

mod filter;
mod printer;

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};

pub use self::printer::Printer;
use super::args::OutputArgs;
use crate::{attribution::ByOwner, report::view::EventKind};

/// Selection and format of the output.
#[derive(Clone, Debug, clap::Args)]
pub struct Shown {
    /// Show only memcgs whose path matches, for example '/kubepods/**' (the counts cover all)
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    pub cgroup: Option<GlobMatcher>,

    /// Show only events of memcgs that have been dying for at least this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
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

fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    // A single star does not match slashes, as in a shell.
    Ok(GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher())
}
