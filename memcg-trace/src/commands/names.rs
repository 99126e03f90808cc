//! Where names come from, for every command that shows any.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::source::names::{Node, Resolver};

/// `--host-root` and `--no-names`
#[derive(Clone, Debug, clap::Args)]
pub struct NamesArgs {
    /// Where the node's root directory is, for the files and sockets of container runtimes and kubelet
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    pub host_root: PathBuf,

    /// Do not look for names on the node: containers and pods show as their cgroup paths have them
    #[arg(long)]
    pub no_names: bool,
}

impl NamesArgs {
    /// The thread that finds names; `None`: none are wanted.
    pub fn resolver(&self) -> Result<Option<Resolver>> {
        let start = || Resolver::start(&self.host_root).with_context(|| self.cannot_open());
        (!self.no_names).then(start).transpose()
    }

    /// The same for a command that has nothing to do meanwhile.
    pub fn node(&self) -> Result<Option<Node>> {
        let open = || Node::open(&self.host_root).with_context(|| self.cannot_open());
        (!self.no_names).then(open).transpose()
    }

    fn cannot_open(&self) -> String {
        format!(
            "cannot open the node's root directory {}; --host-root says where it is",
            self.host_root.display()
        )
    }
}
