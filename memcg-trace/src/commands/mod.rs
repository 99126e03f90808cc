//! One file for each subcommand: what it is for, its arguments, its run.

mod announce;
pub mod doctor;
pub mod follow;
mod names;
pub mod replay;
pub mod scan;
pub mod slab;
pub mod trace;
pub mod verify;
pub mod whois;

use std::io::{self, IsTerminal as _};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{exit::Exit, report::text::Color};

/// Follow memory cgroups from creation to release and name the ones that leak
///
/// A removed memory cgroup lives on in the kernel as long as something refers to it: a page, a swap entry, a socket, a
/// process that nobody reaped. Enough of these zombies and mkdir fails with "cannot allocate memory". memcg-trace watches
/// each memory cgroup (memcg) from creation to release and says which ones stay, whose they were and what they hold.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    trace: trace::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Trace(trace::Args),
    Replay(replay::Args),
    Scan(scan::Args),
    Verify(verify::Args),
    Slab(slab::Args),
    Whois(whois::Args),
    Doctor(doctor::Args),
}

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  2   wrong usage
  3   a leak was found (with --fail-on-leak, and by verify), or the node is sick (doctor)
  4   inconclusive: events were lost or a hook is missing, or the kernel counts otherwise than it was walked
  69  this kernel or machine lacks something that is needed

Environment:
  RUST_LOG=debug   log lines of the tool, and of its eBPF hooks where the kernel has ring buffers (5.8)
  NO_COLOR         no colours

Without a command, `trace` runs.";

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<Exit> {
        match self.command {
            Some(Command::Trace(args)) => args.run(),
            Some(Command::Replay(args)) => args.run(),
            Some(Command::Scan(args)) => args.run(),
            Some(Command::Verify(args)) => args.run(),
            Some(Command::Slab(args)) => args.run(),
            Some(Command::Whois(args)) => args.run(),
            Some(Command::Doctor(args)) => args.run(),
            None => self.trace.run(),
        }
    }
}

/// The usual rules: NO_COLOR (no-color.org) wins over a terminal, `--color` over both.
fn color(choice: clap::ColorChoice) -> Color {
    let on = match choice {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto => {
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    if on { Color::On } else { Color::Off }
}
