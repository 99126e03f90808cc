//! memcg-trace: parses arguments, runs the command, and maps the outcome to an exit code.

use std::io;

use clap::Parser as _;
use memcg_trace::{commands::Cli, exit::Exit, streams};

fn main() -> Exit {
    streams::set_up();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn"))
        .format_timestamp_millis()
        .init();
    Cli::parse().run().unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return Exit::Done;
        }
        streams::say(&format!("{error:#}"));
        memcg_trace::exit::of(&error)
    })
}

/// The reader closed the pipe (`memcg-trace | head`): it has enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}
