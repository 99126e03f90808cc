//! Writes completions and man pages into a directory, from what `--help` says: `cargo xtask dist` runs it.

use std::{
    fs::{self, File},
    io,
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
fn write(mut cli: Command, directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let written = generate_to(shell, &mut cli.clone(), "memcg-trace", &completions)?;
        fs::rename(written, completions.join(shell.to_string()))?;
    }
    cli.build();
    pages(&cli, "memcg-trace", &man)
}

/// A page for a command and for each of those below it, which `help` is not: it only prints what they are.
fn pages(command: &Command, name: &str, directory: &Path) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone().name(name.to_owned()).display_name(name.to_owned()));
    page.title(name.to_uppercase()).render(&mut File::create(directory.join(format!("{name}.1")))?)?;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        pages(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    Ok(())
}
