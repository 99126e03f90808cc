//! Options that several commands have, each said once.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use crate::report::text::Color;

/// `--btf`
#[derive(Clone, Debug, clap::Args)]
pub struct BtfArg {
    /// Type information of exactly this kernel, where /sys/kernel/btf/vmlinux does not exist: raw BTF, a vmlinux with a section
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

/// `--output` and `--color`
#[derive(Clone, Debug, clap::Args)]
pub struct OutputArgs {
    /// Output format; json is one object a line
    #[arg(short = 'o', long = "output", value_enum, value_name = "OUTPUT", default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    color: ColorArg,
}

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

impl OutputArgs {
    pub fn color(&self) -> Color {
        self.color.color()
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
    /// The usual rules: NO_COLOR (no-color.org) wins over a terminal, `--color` over both.
    pub fn color(&self) -> Color {
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
