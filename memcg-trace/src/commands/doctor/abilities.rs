//! The features that work here, probed step by step with the code of the other commands.

use std::path::{Path, PathBuf};

use super::runtimes;
use crate::{
    kernel::{
        Kernel,
        ability::{Ability, AbilityId, Answer},
        boot,
        cgroupfs::{
            hierarchy::Controller,
            limit,
            mounts::{self, Mode},
        },
        confinement::Confinement,
        hooks::{
            attach::AttachError,
            css_callbacks::Callbacks,
            plan::{KernelKind, Planned},
        },
        layout::{
            self, LayoutError,
            proof::{self, ProofError},
        },
        pins::Pins,
        privileges::{self, Lockdown, PrivilegeError},
        walk::Walk,
    },
    record::{Backend, WalkMeans},
    source::{BufferSize, Caches, LiveError, Options, Trial},
};
use memcg_trace_common::{DentryLayout, Layout};

/// All results, and the state needed to continue.
#[derive(Default)]
pub struct Abilities {
    pub answers: Vec<Ability>,
    pub controller: Option<Controller>,
    /// The best walk that works.
    pub walk: Option<Walk>,
    /// Where memcgs have their own slab caches.
    pub caches: Option<Caches>,
    /// What refers to dying memcgs.
    pub pins: Option<Pins>,
    /// The backend that `trace` would use.
    pub backend: Option<Backend>,
    /// Options for the hooks, according to the layout.
    pub options: Option<Options>,
    /// What a thread is left with once privileges are dropped.
    pub confinement: Option<Confinement>,
    btf: Option<PathBuf>,
    /// There is no BTF: `trace` identifies memcgs by address only.
    blind: bool,
}

/// The usual ways to walk, the better one first; likewise to trace.
const WAYS: [WalkMeans; 2] = [WalkMeans::Program, WalkMeans::Kcore];
const BACKENDS: [Backend; 2] = [Backend::Kprobe, Backend::Tracepoint];

/// Sysctls that may explain a no.
const SYSCTLS: &[&str] =
    &["kernel.kptr_restrict", "kernel.perf_event_paranoid", "kernel.unprivileged_bpf_disabled"];

impl Abilities {
    /// Probes everything, in order of dependency.
    pub fn find(btf: Option<&Path>, node_root: &Path) -> Self {
        let mut abilities = Self { btf: btf.map(Path::to_owned), ..Self::default() };
        let privileges = privileges::capabilities().and_then(|used| privileges::bpf_call().map(|()| used));
        abilities.add(AbilityId::Privileges, Answer::of(&privileges, |used| (*used).to_owned()));
        abilities.confinement = privileges::try_confinement();
        let confinement = abilities.confinement.map(|confinement| Answer::yes(confinement.text()));
        let answer = confinement.unwrap_or_else(|| Answer::unknown("no thread can be started"));
        abilities.add(AbilityId::Confinement, answer);
        abilities.add(AbilityId::Lockdown, lockdown());
        abilities.add(AbilityId::Sysctls, settings());
        privileges::raise_limits();
        abilities.hierarchy();
        abilities.add(AbilityId::Runtimes, runtimes::found(node_root));
        let kernel = abilities.layout(btf);
        if let Some(refused) = refused() {
            let ways = WAYS.map(AbilityId::Walk).into_iter();
            for id in ways.chain(BACKENDS.map(AbilityId::Backend)) {
                abilities.add(id, Answer::unknown(refused));
            }
        } else {
            abilities.walks(kernel.as_ref());
            abilities.hooks(kernel.as_ref());
        }
        abilities.commands();
        abilities
    }

    pub fn add(&mut self, id: AbilityId, answer: Answer) {
        self.answers.push(Ability { id, answer });
    }

    fn hierarchy(&mut self) {
        let controller = Controller::find();
        let mode = match mounts::mode() {
            Some(Mode::V1) => "; only v1 is mounted",
            Some(Mode::V2) => "; only v2 is mounted",
            Some(Mode::Hybrid) => "; v1 and v2 are mounted (hybrid)",
            None => "",
        };
        self.add(AbilityId::Hierarchy, Answer::of(&controller, |found| format!("{found}{mode}")));
        self.controller = controller.inspect(limit::warn_if_low).ok();
    }

    /// BTF, its proof, and the offsets of counters; `None`: no usable layout.
    fn layout(&mut self, btf: Option<&Path>) -> Option<Kernel> {
        if let (Callbacks::Cgroup, Some(controller)) = (Callbacks::find(), &self.controller) {
            let kernel = Kernel::by_cgroup(controller);
            let proven = Answer::of(&kernel, |_| "that of 3.10, proven on our own cgroup".to_owned());
            self.add(AbilityId::Layout, proven);
            self.blind = kernel.is_err();
            return kernel.ok();
        }
        let resolved = layout::resolve(btf);
        let file = btf.unwrap_or(Path::new(layout::KERNEL_BTF)).display();
        self.add(AbilityId::Btf, Answer::of(&resolved, |_| file.to_string()));
        self.blind = matches!(resolved, Err(LayoutError::NoBtf));
        let provable = match (resolved, self.controller.clone(), refused()) {
            (Err(_), ..) => Err("there is no BTF"),
            (_, None, _) => Err("there is no memory controller to prove it on"),
            (_, _, Some(refused)) => Err(refused),
            (Ok(resolved), Some(controller), None) => Ok((resolved, controller)),
        };
        let (resolved, controller) = match provable {
            Ok(both) => both,
            Err(reason) => {
                self.add(AbilityId::Layout, Answer::unknown(reason));
                return None;
            }
        };
        let proof = proof::prove(&resolved.layout.layout, &controller);
        let own = btf.is_none();
        let unproven = proof.as_ref().err().filter(|error| own && matches!(error, ProofError::Impossible(_)));
        let unproven = unproven.map(|error| Answer::unknown(format!("{error}; it is used unproven")));
        let kernel = Kernel::proven(controller, resolved, proof, own).and_then(|kernel| {
            if !own {
                kernel.prove_members()?;
            }
            Ok(kernel)
        });
        let proven = Answer::of(&kernel, |_| "proven on our own cgroup".to_owned());
        self.add(AbilityId::Layout, unproven.unwrap_or(proven));
        let mut kernel = kernel.ok()?;
        if let Err(partly) = kernel.controller.wholly_mounted(kernel.namespace_root.as_deref()) {
            self.add(AbilityId::WholeHierarchy, Answer::no(&partly));
        }
        let counters = kernel.find_counters();
        self.add(
            AbilityId::Counters,
            Answer::of(&counters, |()| "kinds of memory, as in memory.stat".into()),
        );
        Some(kernel)
    }

    fn walks(&mut self, kernel: Option<&Kernel>) {
        let Some(kernel) = kernel else {
            let unknown = || Answer::unknown("there is no layout to walk by");
            return WAYS.into_iter().for_each(|way| self.add(AbilityId::Walk(way), unknown()));
        };
        if kernel.callbacks == Callbacks::Cgroup {
            let walk = kernel.load_walk();
            self.add(
                AbilityId::Walk(WalkMeans::Ids),
                Answer::of(&walk, |_| "every memcg, dying ones included".to_owned()),
            );
            self.walk = walk.ok();
            return self.pins(kernel);
        }
        let walks = [Walk::program(&kernel.layout), Walk::kcore(&kernel.layout)];
        for (way, walk) in WAYS.into_iter().zip(walks) {
            self.add(
                AbilityId::Walk(way),
                Answer::of(&walk, |_| "every memcg, dying ones included".to_owned()),
            );
            self.walk = self.walk.take().or(walk.ok());
        }
        self.pins(kernel);
    }

    fn pins(&mut self, kernel: &Kernel) {
        let pins = Pins::open(kernel, self.btf.as_deref());
        self.add(
            AbilityId::Pins,
            Answer::of(&pins, |pins| format!("what refers to dying memcgs, read by {}", pins.means())),
        );
        self.pins = pins.ok();
        self.caches(kernel);
    }

    fn caches(&mut self, kernel: &Kernel) {
        let Some(caches) = Caches::open(kernel).transpose() else { return };
        self.add(AbilityId::MemcgCaches, Answer::of(&caches, |_| "read from /proc/kcore".to_owned()));
        self.caches = caches.ok();
    }

    /// Without a usable layout, hooks can still be attached, but see nothing. Without any layout, kprobes are used
    /// anyway; the self-test does not know which events to expect then.
    fn hooks(&mut self, kernel: Option<&Kernel>) {
        let unproven = || Options {
            layout: Layout::UNKNOWN,
            dentry: DentryLayout::NONE,
            kind: KernelKind { callbacks: Callbacks::find(), blind: self.blind },
            memory_root: 0,
            backend: None,
            buffer_size: BufferSize::Fitting { memory_limit: None },
        };
        let options = kernel.map_or_else(unproven, Options::of);
        for backend in BACKENDS {
            let trial = Trial::run(&options, backend);
            let works = trial.as_ref().is_ok_and(Trial::works);
            self.trial(backend, trial);
            if works && (kernel.is_some() || self.blind && backend == Backend::Kprobe) {
                self.backend = self.backend.or(Some(backend));
                self.options = kernel.map(|_| options);
            }
        }
    }

    fn trial(&mut self, backend: Backend, trial: Result<Trial, LiveError>) {
        let id = AbilityId::Backend(backend);
        let trial = match trial {
            Ok(trial) => trial,
            Err(LiveError::Backend { error, .. }) => return self.add(id, Answer::no(&error)),
            Err(error) => return self.add(id, Answer::no(&error)),
        };
        let count = trial.hooks.iter().filter(|(_, error)| error.is_none()).count();
        let Trial { buffers, perf_pages, ref hooks } = trial;
        let found = format!("{count} of {} hooks, {buffers} perf buffers of {perf_pages} pages", hooks.len());
        let answer = if trial.works() {
            Answer::yes(found)
        } else {
            let reason = format!("{found}; one that is needed cannot be attached");
            Answer::No { reason, next: "see its own answer below".to_owned() }
        };
        self.add(id, answer);
        for (planned, error) in trial.hooks {
            self.add(AbilityId::Hook(backend, planned), attached(backend, planned, error));
        }
    }

    /// Summarises the results by command.
    fn commands(&mut self) {
        let trace = match self.backend {
            Some(Backend::Kprobe) => Answer::yes("kprobe backend: every step, IDs and their release, errnos"),
            Some(Backend::Tracepoint) => {
                Answer::yes("tracepoint backend: no release of IDs, no reason for a failed mkdir")
            }
            None => lacking(&self.answers),
        };
        self.add(AbilityId::Command("trace"), trace);
        let scan = match &self.walk {
            Some(walk) => Answer::yes(match walk.means() {
                WalkMeans::Kcore => "through /proc/kcore",
                WalkMeans::Ids => "by memcg ID, through /proc/kcore",
                WalkMeans::Program => "by program",
            }),
            None => lacking(&self.answers),
        };
        self.add(AbilityId::Command("scan"), scan);
    }
}

/// Refers to the first missing requirement.
fn lacking(answers: &[Ability]) -> Answer {
    const NEEDED: [AbilityId; 5] =
        [AbilityId::Privileges, AbilityId::Lockdown, AbilityId::Hierarchy, AbilityId::Btf, AbilityId::Layout];
    let lack = answers.iter().find_map(|ability| match &ability.answer {
        Answer::No { reason, next } if NEEDED.contains(&ability.id) => Some((reason, next)),
        _ => None,
    });
    match lack {
        Some((reason, next)) => Answer::No { reason: reason.clone(), next: next.clone() },
        None => Answer::No { reason: "none of its ways works".into(), next: "see the answers above".into() },
    }
}

/// The reason not to try anything privileged: the kernel would refuse without a reason.
fn refused() -> Option<&'static str> {
    privileges::check().err().map(|error| match error {
        PrivilegeError::Missing(_) | PrivilegeError::UserNamespace => {
            "it takes the privileges that are missing"
        }
        PrivilegeError::Refused(_) => "it takes bpf(2), which is refused",
        PrivilegeError::Lockdown(_) => "the kernel is locked down",
    })
}

fn lockdown() -> Answer {
    match privileges::lockdown() {
        Some(Lockdown::None) => Answer::yes("none"),
        Some(Lockdown::Integrity) => Answer::yes("integrity, which allows to read kernel memory"),
        Some(Lockdown::Confidentiality) => Answer::no(&PrivilegeError::Lockdown("confidentiality")),
        None => Answer::unknown(
            "/sys/kernel/security/lockdown cannot be read; securityfs is not mounted, or it has no lockdown",
        ),
    }
}

fn settings() -> Answer {
    let settings = SYSCTLS.iter().filter_map(|name| Some(format!("{name}={}", boot::sysctl(name)?)));
    let settings: Vec<_> = settings.collect();
    if settings.is_empty() {
        Answer::unknown("/proc/sys tells nothing")
    } else {
        Answer::yes(settings.join(" "))
    }
}

/// Result of attaching; for a refused function, with the explanation from the kernel's lists.
fn attached(backend: Backend, planned: &Planned, error: Option<AttachError>) -> Answer {
    let Some(error) = error else { return Answer::yes("attached and detached") };
    let error = match backend {
        Backend::Kprobe => error.explained(),
        Backend::Tracepoint => error,
    };
    let (without, next) = match planned.optional {
        Some(unknown) => {
            (format!(", so it is not known: {unknown}"), "none needed: the rest is traced".to_owned())
        }
        None => (String::new(), format!("the {backend} backend does not work without; use the other one")),
    };
    Answer::No { reason: format!("{error}{without}"), next }
}
