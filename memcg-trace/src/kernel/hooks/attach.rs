//! Attaches the hooks of a plan.

use std::{fs, os::fd::OwnedFd, path::Path};

use anyhow::Chain;
use aya::{
    Ebpf, features,
    programs::{KProbe, ProbeKind, Program, ProgramError, ProgramFd, links::FdLink},
};
use memcg_trace_common::Hook;
use thiserror::Error;

use super::{
    kprobe_events, missed_firings,
    plan::{KernelKind, Planned, plan},
    traceable,
};
use crate::{
    kernel::{ability::Lack, layout::LayoutError, refused::Restrictions},
    record::Backend,
};

/// The reason why a backend cannot be used.
#[derive(Debug, Error)]
pub enum AttachError {
    #[error("this kernel has no kprobes (CONFIG_KPROBE_EVENTS is not set)")]
    NoKprobes,
    #[error("kprobes are switched off; switch them on: echo 1 > {KPROBES_ENABLED}")]
    KprobesOff,
    #[error("without BTF, tracepoints cannot identify the memcg; provide it with --btf FILE")]
    NoLayout,
    #[error("cannot attach to {target}: {reason}{}", then(.next))]
    Refused { target: &'static str, reason: String, next: Option<String> },
}

impl Lack for AttachError {
    fn next_step(&self) -> String {
        match self {
            Self::NoLayout => LayoutError::NoBtf.next_step(),
            Self::NoKprobes => {
                "--backend tracepoint works without kprobes (but does not see IDs released, nor errnos)"
                    .to_owned()
            }
            Self::KprobesOff => {
                format!("switch them on: echo 1 > {}", KPROBES_ENABLED)
            }
            Self::Refused { next, .. } => next
                .clone()
                .unwrap_or_else(|| "see the other hooks; the backend only requires some of them".to_owned()),
        }
    }
}

impl AttachError {
    /// With the reason that the kernel's lists of functions give, where the errno names another: before 4.17 a function that
    /// does not exist is ENOENT of the file kprobe_events.
    pub fn explained(self) -> Self {
        match self {
            Self::Refused { target, reason, next } => {
                let newest = target.split('|').next().unwrap_or(target);
                Self::Refused { target, reason: traceable::why_not(newest).unwrap_or(reason), next }
            }
            other => other,
        }
    }
}

const KPROBES_ENABLED: &str = "/sys/kernel/debug/kprobes/enabled";

/// The attached hooks; dropping it detaches them.
pub struct Attached<H = Hook> {
    pub hooks: Vec<AttachedHook<H>>,
    /// Optional hooks that could not be attached: what is unknown without each, and the reason.
    pub absent: Vec<(&'static str, AttachError)>,
}

/// One attached hook.
pub struct AttachedHook<H = Hook> {
    pub hook: H,
    /// Name of the program in the object.
    name: &'static str,
    program: ProgramFd,
    link: Option<Link>,
    /// Target and whether its return is hooked, where kprobes are lines in `kprobe_events`.
    line: Option<(&'static str, bool)>,
}

/// A kprobe's link. Kernels before 5.15 have none: there the program holds the attachment.
struct Link {
    /// Keeps the program attached.
    _link: FdLink,
    /// Keeps it attached, too; `None` without CAP_SYS_ADMIN.
    descriptor: Option<OwnedFd>,
}

impl<H> AttachedHook<H> {
    /// Detaches it; `ebpf` is the object that it was attached from.
    pub fn detach(self, ebpf: &mut Ebpf) {
        if self.link.is_none()
            && let Some(Program::KProbe(program)) = ebpf.program_mut(self.name)
        {
            // Fails if it is not loaded, and then it is not attached either.
            let _ = program.unload();
        }
    }

    /// Firings that the kernel skipped so far; 0 where it does not count them.
    pub fn missed(&self) -> u64 {
        let recursion = missed_firings::recursion_misses(&self.program);
        let link = self.link.as_ref().and_then(|link| link.descriptor.as_ref());
        let line = self.line.and_then(|(target, returns)| kprobe_events::misses(target, returns));
        let misses = link.and_then(missed_firings::kprobe_misses).or(line);
        recursion.unwrap_or(0) + misses.unwrap_or(0)
    }
}

/// Loads and attaches the hooks of `backend`.
pub fn attach(ebpf: &mut Ebpf, backend: Backend, kind: KernelKind) -> Result<Attached, AttachError> {
    collect(attach_each(ebpf, backend, kind)?)
}

/// Loads and attaches the hooks of a plan, in its order.
pub fn attach_plan<H: Copy + 'static>(
    ebpf: &mut Ebpf,
    plan: &'static [Planned<H>],
) -> Result<Attached<H>, AttachError> {
    collect(plan.iter().map(|planned| (planned, attach_one(ebpf, planned))))
}

/// The hooks that could be attached; fails if a required one is not among them.
fn collect<H: 'static>(
    each: impl Iterator<Item = (&'static Planned<H>, Result<AttachedHook<H>, AttachError>)>,
) -> Result<Attached<H>, AttachError> {
    let mut attached = Attached { hooks: Vec::new(), absent: Vec::new() };
    for (planned, result) in each {
        match (result, planned.optional) {
            (Ok(hook), _) => attached.hooks.push(hook),
            (Err(error), Some(unknown)) => attached.absent.push((unknown, error.explained())),
            (Err(error), None) => return Err(error),
        }
    }
    Ok(attached)
}

/// Loads and attaches the hooks of `backend` lazily, one per iteration.
pub fn attach_each(
    ebpf: &mut Ebpf,
    backend: Backend,
    kind: KernelKind,
) -> Result<impl Iterator<Item = (&'static Planned, Result<AttachedHook, AttachError>)>, AttachError> {
    match backend {
        Backend::Kprobe => {
            kprobes_usable()?;
            kprobe_events::remove_leftovers();
        }
        Backend::Tracepoint if kind.blind => return Err(AttachError::NoLayout),
        Backend::Tracepoint => {}
    }
    Ok(plan(backend, kind).map(|planned| (planned, attach_one(ebpf, planned))))
}

fn attach_one<H: Copy>(ebpf: &mut Ebpf, planned: &Planned<H>) -> Result<AttachedHook<H>, AttachError> {
    let refused = |error: ProgramError| AttachError::Refused {
        target: planned.target,
        reason: reason(&error),
        next: Restrictions::read().next_step(&error),
    };
    let program = ebpf.program_mut(planned.program).ok_or_else(|| AttachError::Refused {
        target: planned.target,
        reason: format!("the eBPF object has no program {}", planned.program),
        next: None,
    })?;
    let mut line = None;
    let link = match program {
        Program::KProbe(program) => {
            line = (!has_pmu()).then(|| (planned.target, matches!(program.kind(), ProbeKind::Return)));
            attach_kprobe(program, planned.target).map_err(refused)?
        }
        Program::RawTracePoint(program) => {
            program.load().map_err(refused)?;
            program.attach(planned.target).map_err(refused)?;
            None
        }
        Program::TracePoint(program) => {
            program.load().map_err(refused)?;
            program.attach("syscalls", planned.target).map_err(refused)?;
            None
        }
        _ => unreachable!("the object has kprobes and tracepoints only"),
    };
    let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(refused)?;
    Ok(AttachedHook { hook: planned.hook, name: planned.program, program: fd, link, line })
}

/// Attaches a kprobe to the first of these functions that exists. Returns the link, where kprobes have one.
fn attach_kprobe(program: &mut KProbe, functions: &str) -> Result<Option<Link>, ProgramError> {
    program.load()?;
    let mut functions = functions.split('|');
    let newest = attach_to(program, functions.next().unwrap_or_default());
    // Report the error of the newest name, not those of old kernels' names.
    functions.fold(newest, |attached, function| {
        attached.or_else(|error| attach_to(program, function).map_err(|_| error))
    })
}

/// Without links (before 5.15) the program owns the attachment.
fn attach_to(program: &mut KProbe, function: &str) -> Result<Option<Link>, ProgramError> {
    let id = program.attach(function, 0)?;
    // Converting to a link would detach, and before 4.17 leave the event behind in kprobe_events.
    if !features().bpf_perf_link() {
        return Ok(None);
    }
    match FdLink::try_from(program.take_link(id)?) {
        Ok(link) => {
            let descriptor = link.info().ok().and_then(|info| missed_firings::link_by_id(info.id()));
            Ok(Some(Link { _link: link, descriptor }))
        }
        // The failed conversion detached it.
        Err(_) => program.attach(function, 0).map(|_| None),
    }
}

/// Whether kprobes are perf events of their own PMU (4.17, e12f03d7031a).
fn has_pmu() -> bool {
    Path::new("/sys/bus/event_source/devices/kprobe").exists()
}

/// Checks that this kernel has kprobes and that they are enabled.
pub fn kprobes_usable() -> Result<(), AttachError> {
    if !has_pmu() && kprobe_events::file().is_none() {
        return Err(AttachError::NoKprobes);
    }
    match fs::read_to_string(KPROBES_ENABLED) {
        Ok(enabled) if enabled.trim() == "0" => Err(AttachError::KprobesOff),
        _ => Ok(()),
    }
}

fn then(next: &Option<String>) -> String {
    next.as_ref().map(|next| format!("; {next}")).unwrap_or_default()
}

/// The whole error chain on one line: aya's outermost message rarely has the errno.
fn reason(error: &ProgramError) -> String {
    let mut parts: Vec<String> =
        Chain::new(error).map(|error| error.to_string().replace('\n', " ")).collect();
    parts.dedup();
    parts.join(": ")
}
