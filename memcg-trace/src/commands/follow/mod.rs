//! What `trace` and `replay` have in common: what is shown, and the observer that prints it.

mod filter;
mod printer;

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};

pub use self::printer::Printer;
use super::Format;
use crate::{attribution::ByOwner, report::view::EventKind};

/// What is shown, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Shown {
    /// Show only memcgs whose path matches, for example '/kubepods/**' (the ledger and the counts follow all)
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    pub cgroup: Option<GlobMatcher>,

    /// Show only events of memcgs that have been dying for at least this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub min_age: Duration,

    /// Show only these events
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',')]
    pub events: Vec<EventKind>,

    /// Sum up by whose they are, too: what was created, what of it is still dying, what it holds
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub by: Option<ByOwner>,

    /// Exit with 3 if a memcg leaked
    #[arg(long)]
    pub fail_on_leak: bool,

    /// Output format; json is one object a line
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
}

fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    // A single star stays within one directory, as in a shell.
    Ok(GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher())
}
