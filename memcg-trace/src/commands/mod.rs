//! The subcommands, one file each: help, arguments, and execution.

mod announce;
mod args;
pub mod doctor;
mod dying;
pub mod explain;
mod flight;
pub mod follow;
mod progress;
mod queued;
pub mod reap;
mod recorded;
pub mod replay;
pub mod report;
pub mod scan;
pub mod serve;
pub mod slab;
mod text_file;
pub mod top;
pub mod trace;
pub mod verify;
pub mod whois;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Follow memory cgroups from creation to release and name the ones that leak
///
/// A removed memory cgroup stays in the kernel as long as something pins it: a page, a swap entry, a socket, a zombie
/// process. With enough of these zombies, mkdir fails with "cannot allocate memory". memcg-trace follows each memory
/// cgroup (memcg) from creation to release and reports which ones leak, who owned them and what they hold.
#[derive(Debug, Parser)]
#[command(version, long_version = VERSION, about, args_conflicts_with_subcommands = true, after_long_help = EXIT_CODES)]
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
    Top(top::Args),
    Report(report::Args),
    Scan(scan::Args),
    Serve(serve::Args),
    Explain(explain::Args),
    Reap(reap::Args),
    Verify(verify::Args),
    Slab(slab::Args),
    Whois(whois::Args),
    Doctor(doctor::Args),
}

/// What `--version` prints: the release, the commit, and which eBPF objects are embedded (build.rs).
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit        ",
    env!("MEMCG_TRACE_COMMIT"),
    "\neBPF objects  ",
    env!("MEMCG_TRACE_OBJECTS")
);

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  2   usage error
  3   a leak was found (with --fail-on-leak, and by verify), or the node is sick (doctor)
  4   inconclusive: events were lost or a hook is missing, the kernel counts otherwise than it was walked, or a reference
      is unexplained (explain)
  69  this kernel or machine lacks something required

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
            Some(Command::Top(args)) => args.run(),
            Some(Command::Report(args)) => args.run(),
            Some(Command::Scan(args)) => args.run(),
            Some(Command::Serve(args)) => args.run(),
            Some(Command::Explain(args)) => args.run(),
            Some(Command::Reap(args)) => args.run(),
            Some(Command::Verify(args)) => args.run(),
            Some(Command::Slab(args)) => args.run(),
            Some(Command::Whois(args)) => args.run(),
            Some(Command::Doctor(args)) => args.run(),
            None => self.trace.run(),
        }
    }
}
