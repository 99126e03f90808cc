//! One cgroup, created and removed: does every hook fire, in order?

use std::{
    fs, io,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use memcg_trace_common::Hook;
use nix::sys::signal::SigSet;

use crate::{
    event::Event,
    kernel::{
        answer::Answer,
        controller::{Controller, Version},
    },
    source::{
        Merge, Record,
        live::{Live, Options},
    },
    tracker::Backend,
};

/// A memcg that nothing keeps is freed within 100 ms; emulated and loaded, within seconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// The order of a life, by backend.
const KPROBES: &[Hook] = &[
    Hook::CssAllocEnter,
    Hook::CssAlloc,
    Hook::CssOnline,
    Hook::CgroupRmdir,
    Hook::CssOfflineEnter,
    Hook::CssOffline,
    Hook::CssReleased,
    Hook::CssFree,
];
const TRACEPOINTS: &[Hook] = &[Hook::CgroupMkdir, Hook::CgroupRmdir, Hook::CgroupRelease];

/// What came of it.
pub struct SelfTest {
    pub answer: Answer,
    /// mkdir failed.
    pub errno: Option<u32>,
}

impl SelfTest {
    /// `options`: how to attach, if a backend works.
    pub fn run(options: Option<&Options>, controller: Option<&Controller>) -> Self {
        let unknown = |reason: &str| Self { answer: Answer::unknown(reason), errno: None };
        let Some(controller) = controller else { return unknown("there is no memory controller") };
        if controller.version == Version::V2 && !gives_memory(&controller.mount) {
            return unknown(
                "the root cgroup gives its children no memory controller (cgroup.subtree_control)",
            );
        }
        let Some(options) = options else { return unknown("no backend can be used") };
        let mut live = match Live::open(options) {
            Ok(live) => live,
            Err(error) => return unknown(&error.to_string()),
        };
        let name = format!("memcg-trace-doctor-{}", process::id());
        if let Err(error) = live_and_die(&controller.mount.join(&name)) {
            let errno = error.raw_os_error().and_then(|errno| u32::try_from(errno).ok());
            let directory = controller.mount.join(&name);
            let reason = format!("cannot create and remove {}: {error}", directory.display());
            let next = "see what this node suffers from".to_owned();
            return Self { answer: Answer::No { reason, next }, errno };
        }
        Self { answer: watch(&mut live, name.as_bytes()), errno: None }
    }

    /// Every hook did; `None`: there was no life to see.
    pub fn fired(&self) -> Option<bool> {
        match self.answer {
            Answer::Yes { .. } => Some(true),
            Answer::No { .. } if self.errno.is_none() => Some(false),
            _ => None,
        }
    }
}

/// v2: cgroups below this one have memcgs.
fn gives_memory(directory: &Path) -> bool {
    fs::read_to_string(directory.join("cgroup.subtree_control"))
        .is_ok_and(|enabled| enabled.split_whitespace().any(|controller| controller == "memory"))
}

/// A directory that is there goes when this goes.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// No signal comes between mkdir and rmdir.
fn live_and_die(path: &Path) -> io::Result<()> {
    let before = SigSet::thread_get_mask()?;
    SigSet::all().thread_block()?;
    let result = fs::create_dir(path).and_then(|()| {
        let directory = Directory(path.to_owned());
        fs::remove_dir(&directory.0)
    });
    before.thread_set_mask()?;
    result
}

/// Collects what the hooks say of the cgroup until its memcg is freed.
fn watch(live: &mut Live, name: &[u8]) -> Answer {
    let expected = match live.backend() {
        Backend::Kprobe => KPROBES,
        Backend::Tracepoint => TRACEPOINTS,
    };
    let absent: Vec<Hook> = expected.iter().copied().filter(|hook| !live.attached(*hook)).collect();
    let (mut merge, mut events) = (Merge::new(), Vec::new());
    let start = Instant::now();
    let fired = loop {
        live.drain(&mut merge);
        merge.release(u64::MAX, |record| {
            if let Record::Event(event) = record {
                events.push(event);
            }
        });
        events.sort_by_key(Event::t_ns);
        let fired = fired(&events, name);
        if fired.last() == expected.last() || start.elapsed() > PATIENCE {
            break fired;
        }
        thread::sleep(PAUSE);
    };
    let expected: Vec<Hook> = expected.iter().copied().filter(|hook| !absent.contains(hook)).collect();
    if fired == expected {
        return Answer::yes(format!("{} of {} hooks fired, in order", fired.len(), expected.len()));
    }
    let reason =
        format!("one cgroup was created and removed; expected were {expected:?}, seen were {fired:?}");
    let next = "run it once more; if it stays, report it with the output of RUST_LOG=debug".to_owned();
    Answer::No { reason, next }
}

/// Hooks that fired for the memcg of the cgroup with this name, in order.
fn fired(events: &[Event], name: &[u8]) -> Vec<Hook> {
    let Some(born) = events.iter().position(|event| event.name() == Some(name)) else { return Vec::new() };
    let (before, after) = events.split_at(born);
    // Not linked to its cgroup yet. Addresses are reused: the last one is ours.
    let css = events[born].css();
    let alloc =
        before.iter().rfind(|event| event.hook() == Hook::CssAlloc && css.is_some() && event.css() == css);
    // The entry emits nothing; the return knows the parent from it.
    let enter = alloc.filter(|event| event.parent_css().is_some()).map(|_| Hook::CssAllocEnter);
    let named = after.iter().filter(|event| event.name() == Some(name));
    enter.into_iter().chain(alloc.into_iter().chain(named).map(Event::hook)).collect()
}
