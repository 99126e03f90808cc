//! The source of container names, for all commands that show them.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::source::names::{Node, Resolver};

/// `--host-root` and `--no-names`
#[derive(Clone, Debug, clap::Args)]
pub struct NamesArgs {
    /// Root directory of the node, to find the files and sockets of container runtimes and kubelet
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    pub host_root: PathBuf,

    /// Do not look up names on the node: show containers and pods by the ids in their cgroup paths
    #[arg(long)]
    pub no_names: bool,
}

impl NamesArgs {
    /// The thread that looks up names; `None`: disabled.
    pub fn resolver(&self) -> Result<Option<Resolver>> {
        let start = || Resolver::start(&self.host_root).with_context(|| self.cannot_open());
        (!self.no_names).then(start).transpose()
    }

    /// The same, for a command that can wait for the lookup.
    pub fn node(&self) -> Result<Option<Node>> {
        let open = || Node::open(&self.host_root).with_context(|| self.cannot_open());
        (!self.no_names).then(open).transpose()
    }

    fn cannot_open(&self) -> String {
        format!(
            "cannot open the node's root directory {}; pass its path to --host-root",
            self.host_root.display()
        )
    }
}
