//! Writes completions and man pages into a directory, from what `--help` says: `cargo xtask dist` runs it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};
use memcg_trace::commands::Cli;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("help_files: usage: help_files DIRECTORY");
        return ExitCode::from(2);
    };
    // What it was built from is of no interest in a manual, and differs by architecture.
    match write(Cli::command().long_version(None), &directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("help_files: cannot write into {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

/// `man/COMMAND.1` for each command, and `completions/SHELL`.
fn write(cli: Command, directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let written = generate_to(shell, &mut cli.clone(), "memcg-trace", &completions)?;
        fs::rename(written, completions.join(shell.to_string()))?;
    }
    // `help` only prints what the others' pages say.
    clap_mangen::generate_to(cli.disable_help_subcommand(true), man)
}
