//! The hooks of each backend, in the order of attachment, and what each is needed for.

use memcg_trace_common::Hook;

use super::css_callbacks::Callbacks;
use crate::record::Backend;

/// One hook of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Planned<H = Hook> {
    pub hook: H,
    /// Name of the eBPF program.
    pub program: &'static str,
    /// Function or tracepoint. Names of a renamed function are separated by `|`, newest first.
    pub target: &'static str,
    /// What is unknown without it; `None`: the hook is required.
    pub optional: Option<&'static str>,
}

impl<H> Planned<H> {
    /// Its names, newest first.
    pub fn functions(&self) -> impl Iterator<Item = &'static str> {
        self.target.split('|')
    }
}

impl Planned {
    /// The hooked function or tracepoint, for people.
    pub fn place(&self) -> String {
        let returns = matches!(self.hook, Hook::CssAlloc | Hook::CssOffline);
        format!("{}{}", self.target, if returns { " (return)" } else { "" })
    }
}

/// Hooks on the end of a memcg's life are attached before those on its start, so that every memcg whose start is seen
/// is also seen to end. A return is attached before its entry for the same reason.
const KPROBES: &[Planned] = &[
    Planned { hook: Hook::CssFree, program: "css_free", target: "mem_cgroup_css_free", optional: None },
    Planned {
        hook: Hook::CssReleased,
        program: "css_released",
        target: "mem_cgroup_css_released",
        optional: Some("when the last reference of a memcg goes"),
    },
    Planned {
        hook: Hook::CssOffline,
        program: "css_offline",
        target: "mem_cgroup_css_offline",
        optional: None,
    },
    Planned {
        hook: Hook::CssOfflineEnter,
        program: "css_offline_enter",
        target: "mem_cgroup_css_offline",
        optional: None,
    },
    Planned {
        hook: Hook::CgroupRmdir,
        program: "cgroup_rmdir",
        target: "cgroup_rmdir",
        optional: Some("when and by whom directories are removed"),
    },
    Planned { hook: Hook::CssOnline, program: "css_online", target: "mem_cgroup_css_online", optional: None },
    Planned {
        hook: Hook::CssAlloc,
        program: "css_alloc",
        target: "mem_cgroup_css_alloc",
        optional: Some("failed allocations"),
    },
    Planned {
        hook: Hook::CssAllocEnter,
        program: "css_alloc_enter",
        target: "mem_cgroup_css_alloc",
        optional: Some("the parent of a failed allocation"),
    },
];

/// The same where callbacks take cgroups (3.10): the memcg ends with `__mem_cgroup_free`, `css_free` comes before.
const KPROBES_BY_CGROUP: &[Planned] = &[
    Planned { hook: Hook::MemcgFree, program: "memcg_free", target: "__mem_cgroup_free", optional: None },
    Planned { hook: Hook::CssPut, program: "cgroup_css_free", target: "mem_cgroup_css_free", optional: None },
    Planned {
        hook: Hook::CssOffline,
        program: "css_offline",
        target: "mem_cgroup_css_offline",
        optional: None,
    },
    Planned {
        hook: Hook::CssOfflineEnter,
        program: "cgroup_css_offline_enter",
        target: "mem_cgroup_css_offline",
        optional: None,
    },
    Planned {
        hook: Hook::CgroupRmdir,
        program: "cgroup_css_removed",
        target: "mem_cgroup_css_offline",
        optional: Some("by whom directories are removed"),
    },
    Planned {
        hook: Hook::CssOnline,
        program: "cgroup_css_online",
        target: "mem_cgroup_css_online",
        optional: None,
    },
    Planned {
        hook: Hook::CssAlloc,
        program: "cgroup_css_alloc",
        target: "mem_cgroup_css_alloc",
        optional: None,
    },
    Planned {
        hook: Hook::CssAllocEnter,
        program: "css_alloc_enter",
        target: "mem_cgroup_css_alloc",
        optional: None,
    },
];

/// Additional hooks where the layout is unknown.
const NAMES: &[Planned] = &[
    Planned {
        hook: Hook::CgroupMkdir,
        program: "cgroup_mkdir_path",
        target: "cgroup_mkdir",
        optional: Some("the paths of memcgs"),
    },
    Planned {
        hook: Hook::MkdirEnter,
        program: "cgroup_mkdir_enter",
        target: "cgroup_mkdir",
        optional: Some("whether a path is that of its memcg"),
    },
];

/// The same where cgroups have no tracepoints either. Requires CONFIG_FTRACE_SYSCALLS.
const NAMES_BY_CGROUP: &[Planned] = &[
    Planned {
        hook: Hook::MkdirEnter,
        program: "sys_enter_mkdir",
        target: "sys_enter_mkdir",
        optional: Some("the paths of memcgs"),
    },
    Planned {
        hook: Hook::MkdirEnter,
        program: "sys_enter_mkdirat",
        target: "sys_enter_mkdirat",
        optional: Some("the paths of memcgs"),
    },
];

const TRACEPOINTS: &[Planned] = &[
    Planned {
        hook: Hook::CgroupRelease,
        program: "cgroup_release",
        target: "cgroup_release",
        optional: None,
    },
    Planned { hook: Hook::CgroupRmdir, program: "cgroup_rmdir", target: "cgroup_rmdir", optional: None },
    Planned { hook: Hook::CgroupMkdir, program: "cgroup_mkdir", target: "cgroup_mkdir", optional: None },
];

/// The facts about a kernel that select its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub callbacks: Callbacks,
    /// Its struct layout is unknown.
    pub blind: bool,
}

/// The hooks of `backend` on such a kernel, in the order of attachment.
pub fn plan(backend: Backend, kind: Kind) -> impl Iterator<Item = &'static Planned> {
    let (names, hooks) = match (backend, kind.callbacks) {
        // Kernels with such callbacks have no cgroup tracepoints.
        (Backend::Kprobe, Callbacks::Cgroup) if kind.blind => (NAMES_BY_CGROUP, KPROBES_BY_CGROUP),
        (Backend::Kprobe, Callbacks::Cgroup) => (&[][..], KPROBES_BY_CGROUP),
        (Backend::Kprobe, Callbacks::Css) if kind.blind => (NAMES, KPROBES),
        (Backend::Kprobe, Callbacks::Css) => (&[][..], KPROBES),
        (Backend::Tracepoint, _) => (&[][..], TRACEPOINTS),
    };
    names.iter().chain(hooks)
}

/// All functions that kprobes are attached to, on any kernel.
pub fn functions() -> impl Iterator<Item = &'static str> {
    [KPROBES, KPROBES_BY_CGROUP, NAMES].into_iter().flatten().flat_map(Planned::functions)
}

/// Functions that are hooked at both ends.
pub const RETURNS: &[(Hook, Hook)] =
    &[(Hook::CssAllocEnter, Hook::CssAlloc), (Hook::CssOfflineEnter, Hook::CssOffline)];
