//! The argument of the memory controller's callbacks: css or cgroup.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
};

/// The argument of `mem_cgroup_css_online`, `_offline` and `_free`. Their names are the same on all kernels, so other
/// functions have to tell the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callbacks {
    /// A css, which lives as long as its memcg (3.12, eb95419b023a "cgroup: pass around cgroup_subsys_state instead of cgroup
    /// in subsystem methods").
    Css,
    /// A cgroup. The memcg outlives its css, until `__mem_cgroup_free` (3.10).
    Cgroup,
}

/// Work functions of kernel/cgroup.c, which are never inlined. Newest first.
const WITNESSES: &[(&str, Callbacks)] = &[
    // Since 8f36aaec9c92; `css_free_work_fn` before, since csses are freed one by one (3.12).
    ("css_free_rwork_fn", Callbacks::Css),
    ("css_free_work_fn", Callbacks::Css),
    // Puts the dentry of the css's cgroup: a css has no lifetime of its own.
    ("css_dput_fn", Callbacks::Cgroup),
];

impl Callbacks {
    /// Detects it from the running kernel's functions. If these are hidden, assumes csses, as on all kernels but 3.10.
    pub fn find() -> Self {
        let Ok(symbols) = File::open("/proc/kallsyms") else { return Self::Css };
        let lines = BufReader::new(symbols).lines().map_while(Result::ok);
        Self::by(lines.filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned)))
            .unwrap_or(Self::Css)
    }

    /// Detects it from the names of a kernel's functions; `None`: inconclusive.
    pub fn by(functions: impl IntoIterator<Item = impl AsRef<str>>) -> Option<Self> {
        let tells = |function: &str| WITNESSES.iter().find(|(name, _)| *name == function);
        functions.into_iter().find_map(|function| tells(function.as_ref()).map(|(_, callbacks)| *callbacks))
    }
}
