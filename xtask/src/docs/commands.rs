//! The command lines that our pages show, held against what the programs accept.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::Result;
use clap::CommandFactory as _;

use crate::process;
use crate::workspace::Workspace;

/// The command line of a program: its subcommands, each with its flags. The empty name: the program without a
/// subcommand.
#[derive(Debug, Default)]
pub struct Program(BTreeMap<String, BTreeSet<String>>);

/// Both programs that our pages speak of.
pub struct Programs {
    loader: Program,
    xtask: Program,
}

impl Programs {
    /// Asks the built loader for its help, and our own parser.
    pub fn find(workspace: &Workspace) -> Result<Self> {
        Ok(Self { loader: Program::by_help(workspace)?, xtask: Program::of(&crate::Task::command()) })
    }

    /// What is wrong with a command line, or with what may be one: a text that begins with the name of neither program, of a
    /// subcommand nor of a flag is none.
    pub fn objection(&self, line: &str) -> Option<String> {
        let line = line.trim_start_matches(['$', '#', ' ']).trim_start_matches("sudo ");
        // Lists of commands have their meaning behind a gap.
        let line = line.split("  ").next().unwrap_or(line);
        let words: Vec<_> = line.split_whitespace().take_while(|word| !is_end(word)).collect();
        match words.as_slice() {
            ["memcg-trace" | "target/release/memcg-trace", rest @ ..] => {
                self.loader.objection(rest, "memcg-trace")
            }
            ["cargo", "xtask", rest @ ..] => {
                let (ours, theirs) = match rest.iter().position(|word| *word == "--") {
                    Some(at) => (&rest[..at], &rest[at + 1..]),
                    None => (rest, [].as_slice()),
                };
                let theirs = match (ours.first(), theirs.first()) {
                    (Some(&"run"), Some(_)) => self.loader.objection(theirs, "memcg-trace"),
                    _ => self.objection(&theirs.join(" ")),
                };
                self.xtask.objection(ours, "cargo xtask").or(theirs)
            }
            // Text speaks of commands by their names, and of flags.
            [name, rest @ ..]
                if self.loader.0.contains_key(*name) && rest.iter().any(|word| is_flag(word)) =>
            {
                self.loader.objection(&words, "memcg-trace")
            }
            [flag, ..] if is_flag(flag) && !self.loader.any_has(flag) && !self.xtask.any_has(flag) => {
                Some(format!("no command has {flag}"))
            }
            _ => None,
        }
    }
}

impl Program {
    fn by_help(workspace: &Workspace) -> Result<Self> {
        let help = |arguments: &[&str]| {
            process::capture(Command::new(workspace.loader()).args(arguments).arg("--help"))
        };
        let main = help(&[])?;
        // Without a subcommand it is `trace`, whose flags it takes.
        let mut program = Self(BTreeMap::from([(String::new(), flags(&main))]));
        for name in subcommands(&main).filter(|name| *name != "help") {
            program.0.insert(name.to_owned(), flags(&help(&[name])?));
        }
        Ok(program)
    }

    fn of(command: &clap::Command) -> Self {
        let flags = |command: &clap::Command| -> BTreeSet<String> {
            let longs = command.get_arguments().filter_map(|argument| argument.get_long());
            longs.map(|long| format!("--{long}")).chain(["--help".to_owned()]).collect()
        };
        let mut program = Self(BTreeMap::from([(String::new(), flags(command))]));
        for subcommand in command.get_subcommands() {
            // `vm verify` is as good as a subcommand of two words here.
            let nested = subcommand.get_subcommands().flat_map(&flags);
            let flags = flags(subcommand).into_iter().chain(nested).collect();
            program.0.insert(subcommand.get_name().to_owned(), flags);
        }
        program
    }

    fn any_has(&self, flag: &str) -> bool {
        self.0.values().any(|flags| flags.contains(name_of(flag)))
    }

    fn objection(&self, words: &[&str], program: &str) -> Option<String> {
        let (name, flags) = match words.first() {
            Some(word) if word.starts_with(|c: char| c.is_ascii_lowercase()) => {
                let Some(flags) = self.0.get(*word) else { return Some(format!("{program} has no {word}")) };
                (*word, flags)
            }
            _ => ("", self.0.get("")?),
        };
        let unknown = words.iter().find(|word| is_flag(word) && !flags.contains(name_of(word)))?;
        Some(format!("{} has no {}", [program, name].join(" ").trim_end(), name_of(unknown)))
    }
}

/// End of a command within a line.
fn is_end(word: &str) -> bool {
    matches!(word, "|" | "&&" | "||" | ";" | "#" | ">" | "2>" | "…" | "...")
}

fn is_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// `--flag` of `--flag=value`, `--flag,` and `[--flag]`.
fn name_of(word: &str) -> &str {
    let end = word.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    &word[..end.unwrap_or(word.len())]
}

/// The flags that a help text defines: they begin a line, alone or behind a short one.
fn flags(help: &str) -> BTreeSet<String> {
    let definitions = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = definitions.flat_map(|line| line.split_whitespace().take(2));
    words.filter(|word| is_flag(word)).map(|word| name_of(word).to_owned()).collect()
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines.take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  ")).filter_map(|line| {
        let name = line.split_whitespace().next()?;
        // What does not begin there goes on with a description.
        line.starts_with(name).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "\
Usage: memcg-trace [OPTIONS] [COMMAND]

Commands:
  scan    List dying memcgs,
          see --nothing
  verify  Judge

Options:
  -o, --output <FORMAT>  text or json
      --grace <TIME>
          Not --this
";

    #[test]
    fn what_a_help_defines() {
        assert_eq!(subcommands(MAIN).collect::<Vec<_>>(), ["scan", "verify"]);
        assert_eq!(flags(MAIN), ["--grace", "--output"].map(str::to_owned).into());
    }

    #[test]
    fn command_lines() {
        let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<BTreeSet<_>>();
        let loader =
            BTreeMap::from([(String::new(), flags(&["--grace"])), ("scan".to_owned(), flags(&["--by"]))]);
        let xtask = BTreeMap::from([
            (String::new(), flags(&[])),
            ("run".to_owned(), flags(&[])),
            ("vm".to_owned(), flags(&["--kernel"])),
        ]);
        let programs = Programs { loader: Program(loader), xtask: Program(xtask) };
        for (line, objection) in [
            ("$ memcg-trace scan --by pod | head --none", None),
            ("memcg-trace --grace=2s", None),
            ("sudo memcg-trace --by pod", Some("memcg-trace has no --by")),
            ("memcg-trace scam", Some("memcg-trace has no scam")),
            ("memcg-trace scan --grace", Some("memcg-trace scan has no --grace")),
            ("cargo xtask run -- --by", Some("memcg-trace has no --by")),
            ("cargo xtask run -- scan --by pod", None),
            ("cargo xtask vm --kernel 6.1 -- memcg-trace scan --all", Some("memcg-trace scan has no --all")),
            ("cargo xtask vm --kernal 6.1 -- sh -c x", Some("cargo xtask vm has no --kernal")),
            ("memcg-trace scan  see --nothing", None),
            ("cargo xtask walk", Some("cargo xtask has no walk")),
            ("scan --grace", Some("memcg-trace scan has no --grace")),
            ("--by workload", None),
            ("--nowhere", Some("no command has --nowhere")),
            ("scan", None),
            ("cargo test --workspace", None),
        ] {
            assert_eq!(programs.objection(line).as_deref(), objection, "{line}");
        }
    }
}
