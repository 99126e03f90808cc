//! Options that several commands share.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    report::text::{Color, Page, ROWS},
    source::names::{NameSources, Resolver},
};

/// Longer is no time that anybody waits, and clocks overflow: 136 years.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// `90s`, `5m`, `1h 30m`; a number alone is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    match seconds.or_else(|_| humantime::parse_duration(text)) {
        Ok(duration) if duration > LONGEST => Err("it is 136 years at most".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; for example 90s or 5m")),
    }
}

/// The same, but not less than a second.
pub fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        interval if interval < Duration::from_secs(1) => Err("it is a second at least".into()),
        interval => Ok(interval),
    }
}

/// `--btf`
#[derive(Clone, Debug, clap::Args)]
pub struct BtfArg {
    /// BTF of exactly this kernel, where /sys/kernel/btf/vmlinux does not exist: raw BTF, a vmlinux with a section
    /// .BTF, or a .btf.tar.xz of BTFHub
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
}

impl BtfArg {
    /// `None`: the kernel's own.
    pub fn file(&self) -> Option<&Path> {
        self.btf.as_deref()
    }
}

/// `--output`, `--wide` and `--color`
#[derive(Clone, Debug, clap::Args)]
pub struct OutputArgs {
    /// Output format; json is one object a line
    #[arg(short = 'o', long = "output", value_enum, value_name = "OUTPUT", default_value_t = Format::Text)]
    pub format: Format,

    /// Do not cut lines to the width of the terminal; a pipe always gets whole lines
    #[arg(long)]
    wide: bool,

    #[command(flatten)]
    color: ColorArg,
}

/// `--all-rows`
#[derive(Clone, Debug, clap::Args)]
pub struct RowsArg {
    /// Show all rows also on a terminal, where lists end after 20; a pipe always gets all
    #[arg(long)]
    all_rows: bool,
}

impl RowsArg {
    /// What a list is written on; with `--top` it is as long as was asked for.
    pub fn page(&self, output: &OutputArgs, top: Option<usize>) -> Page {
        output.page().all_rows(self.all_rows || top.is_some())
    }
}

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

impl OutputArgs {
    /// What the text is written on.
    pub fn page(&self) -> Page {
        let page = self.color.page();
        Page { width: page.width.filter(|_| !self.wide), ..page }
    }
}

/// `--color`
#[derive(Clone, Debug, clap::Args)]
pub struct ColorArg {
    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = clap::ColorChoice::Auto)]
    color: clap::ColorChoice,
}

impl ColorArg {
    /// A person sees as much as the terminal is wide, a pipe gets everything.
    pub fn page(&self) -> Page {
        let columns = terminal_columns();
        Page { color: self.color(), width: columns, rows: columns.map(|_| ROWS) }
    }

    /// The usual rules: NO_COLOR (no-color.org) wins over a terminal, `--color` over both.
    fn color(&self) -> Color {
        let on = match self.color {
            clap::ColorChoice::Always => true,
            clap::ColorChoice::Never => false,
            clap::ColorChoice::Auto => {
                io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        if on { Color::On } else { Color::Off }
    }
}

/// `None`: standard output is no terminal, or has no known width.
fn terminal_columns() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a struct winsize, and `size` is one that lives.
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (answer == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// `--host-root`
#[derive(Clone, Debug, clap::Args)]
pub struct HostRootArg {
    /// Root directory of the node, to find the files and sockets of container runtimes and kubelet
    #[arg(long, value_name = "DIRECTORY", env = "MEMCG_TRACE_HOST_ROOT", default_value = "/")]
    pub host_root: PathBuf,
}

/// `--host-root` and `--no-names`
#[derive(Clone, Debug, clap::Args)]
pub struct NamesArgs {
    #[command(flatten)]
    pub host: HostRootArg,

    /// Do not look up names on the node: show containers and pods by the ids in their cgroup paths
    #[arg(long)]
    pub no_names: bool,
}

impl NamesArgs {
    /// The thread that looks up names; `None`: disabled.
    pub fn resolver(&self) -> Result<Option<Resolver>> {
        let start = || Resolver::start(&self.host.host_root).with_context(|| self.cannot_open());
        (!self.no_names).then(start).transpose()
    }

    /// The same, for a command that can wait for the lookup.
    pub fn node(&self) -> Result<Option<NameSources>> {
        let open = || NameSources::open(&self.host.host_root).with_context(|| self.cannot_open());
        (!self.no_names).then(open).transpose()
    }

    fn cannot_open(&self) -> String {
        format!(
            "cannot open the node's root directory {}; pass its path to --host-root",
            self.host.host_root.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_is_seconds() {
        let table = [
            ("10", Some(10)),
            ("10s", Some(10)),
            ("1m 30s", Some(90)),
            ("10 parsecs", None),
            ("18446744073709551615", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text}");
        }
        assert!(interval("0").is_err() && interval("10ms").is_err() && interval("1").is_ok());
    }
}
