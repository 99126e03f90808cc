//! The self-test: creates and removes one cgroup, and checks that every hook fires in order.

use std::{
    fs, io,
    path::Path,
    process, thread,
    time::{Duration, Instant},
};

use memcg_trace_common::Hook;
use nix::{
    errno::Errno,
    sys::signal::{SigSet, SigmaskHow},
};

use crate::{
    event::Event,
    kernel::{ability::Answer, cgroupfs::hierarchy::Controller, hooks::css_callbacks::Callbacks},
    record::{Backend, Merge, Record, Version},
    source::{Live, Options},
};

/// Timeout: a memcg that nothing pins is freed within 100 ms; on an emulated, loaded machine within seconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// The expected order of hooks, by backend.
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
/// Where callbacks take cgroups (3.10), css_free is not the end.
const KPROBES_BY_CGROUP: &[Hook] = &[
    Hook::CssAllocEnter,
    Hook::CssAlloc,
    Hook::CssOnline,
    Hook::CgroupRmdir,
    Hook::CssOfflineEnter,
    Hook::CssOffline,
    Hook::CssPut,
    Hook::MemcgFree,
];
const TRACEPOINTS: &[Hook] = &[Hook::CgroupMkdir, Hook::CgroupRmdir, Hook::CgroupRelease];

/// Result of the self-test.
pub struct SelfTest {
    pub answer: Answer,
    /// Errno of mkdir, if it indicates a lack of memcg IDs or memory.
    pub errno: Option<u32>,
    /// Whether every hook fired, in order; `None`: there was nothing to observe.
    pub fired: Option<bool>,
}

impl SelfTest {
    /// Runs the self-test; `options`: how to attach, if a backend works.
    pub fn run(options: Option<&Options>, controller: Option<&Controller>) -> Self {
        let unknown = |reason: &str| Self { answer: Answer::unknown(reason), errno: None, fired: None };
        let Some(controller) = controller else { return unknown("there is no memory controller") };
        if controller.version == Version::V2 && !gives_memory(&controller.mount) {
            return unknown(
                "the root cgroup does not enable the memory controller for its children (cgroup.subtree_control)",
            );
        }
        let Some(options) = options else { return unknown("no backend can be used") };
        let mut live = match Live::open(options) {
            Ok(live) => live,
            Err(error) => return unknown(&error.to_string()),
        };
        let name = format!("memcg-trace-doctor-{}", process::id());
        let directory = controller.mount.join(&name);
        match live_and_die(&directory) {
            Ok(()) => watch(&mut live, options.kind.callbacks, name.as_bytes()),
            Err(error) => Self::lifeless(&directory, error),
        }
    }

    fn lifeless(directory: &Path, error: LifeError) -> Self {
        let directory = directory.display();
        let (reason, next, errno) = match error {
            LifeError::Mkdir(error) => {
                let errno = [Errno::ENOSPC, Errno::EBUSY, Errno::ENOMEM].map(|errno| errno as i32);
                let errno = error.raw_os_error().filter(|raw| errno.contains(raw));
                let next = match errno {
                    Some(_) => "see the findings about this node".to_owned(),
                    None => "check the permissions there, and whether it is mounted read-only".to_owned(),
                };
                (format!("cannot create {directory}: {error}"), next, errno.map(i32::unsigned_abs))
            }
            LifeError::Rmdir(error) => {
                (format!("cannot remove {directory}: {error}"), format!("remove it: rmdir {directory}"), None)
            }
        };
        Self { answer: Answer::No { reason, next }, errno, fired: None }
    }
}

/// v2: whether cgroups below this one have memcgs.
fn gives_memory(directory: &Path) -> bool {
    fs::read_to_string(directory.join("cgroup.subtree_control"))
        .is_ok_and(|enabled| enabled.split_whitespace().any(|controller| controller == "memory"))
}

/// The step that failed.
enum LifeError {
    Mkdir(io::Error),
    Rmdir(io::Error),
}

/// Creates and removes the cgroup; blocks signals in between.
fn live_and_die(path: &Path) -> Result<(), LifeError> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let lived = fs::create_dir(path).map_err(LifeError::Mkdir);
    let lived = lived.and_then(|()| fs::remove_dir(path).map_err(LifeError::Rmdir));
    if let Ok(before) = before {
        // Restoring the previous mask cannot fail.
        let _ = before.thread_set_mask();
    }
    lived
}

/// Collects the events of the cgroup until its memcg is freed.
fn watch(live: &mut Live, callbacks: Callbacks, name: &[u8]) -> SelfTest {
    let expected = expected(live.backend(), callbacks);
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
        let answer = Answer::yes(format!("{} of {} hooks fired, in order", fired.len(), expected.len()));
        return SelfTest { answer, errno: None, fired: Some(true) };
    }
    let reason = format!("one cgroup was created and removed; expected {expected:?}, saw {fired:?}");
    let next = "run it again; if it still fails, report it with the output of RUST_LOG=debug".to_owned();
    SelfTest { answer: Answer::No { reason, next }, errno: None, fired: Some(false) }
}

/// The hooks of a cgroup's life on such a kernel, in order.
fn expected(backend: Backend, callbacks: Callbacks) -> &'static [Hook] {
    match (backend, callbacks) {
        (Backend::Kprobe, Callbacks::Css) => KPROBES,
        (Backend::Kprobe, Callbacks::Cgroup) => KPROBES_BY_CGROUP,
        (Backend::Tracepoint, _) => TRACEPOINTS,
    }
}

/// Hooks that fired for the memcg of the cgroup with this name, in order.
fn fired(events: &[Event], name: &[u8]) -> Vec<Hook> {
    let Some(born) = events.iter().position(|event| event.name() == Some(name)) else { return Vec::new() };
    let (before, after) = events.split_at(born);
    // css_alloc has no cgroup yet. Addresses are reused: the last one is ours.
    let css = events[born].css();
    let alloc =
        before.iter().rfind(|event| event.hook() == Hook::CssAlloc && css.is_some() && event.css() == css);
    // The entry emits no event, but the return has the parent from it.
    let enter = alloc.filter(|event| event.parent_css().is_some()).map(|_| Hook::CssAllocEnter);
    // __mem_cgroup_free comes when the cgroup, and with it the name, is gone.
    let is_end = |event: &&Event| event.hook() == Hook::MemcgFree && css.is_some() && event.css() == css;
    let end = after.iter().position(|event| is_end(&event));
    let named = after[..end.map_or(after.len(), |end| end + 1)]
        .iter()
        .filter(|event| event.name() == Some(name) || is_end(event));
    enter.into_iter().chain(alloc.into_iter().chain(named).map(Event::hook)).collect()
}

#[cfg(test)]
mod tests {
    use memcg_trace_common::{EventHeader, Field};
    use zerocopy::FromZeros as _;

    use super::*;

    fn event(hook: Hook, css: u64, name: &str, parent: u64) -> Event {
        let mut header = EventHeader::new_zeroed();
        header.hook = hook as u16;
        header.known = Field::CSS
            | if name.is_empty() { 0 } else { Field::NAME }
            | if parent == 0 { 0 } else { Field::PARENT };
        (header.css, header.parent_css) = (css, parent);
        Event::new(header, name.as_bytes()).expect("an event")
    }

    #[test]
    fn a_life_where_callbacks_take_cgroups() {
        let ours = |hook| event(hook, 7, "ours", 0);
        let events = [
            event(Hook::MemcgFree, 7, "", 0),
            event(Hook::CssAlloc, 7, "", 1),
            ours(Hook::CssOnline),
            event(Hook::CssOnline, 8, "other", 0),
            ours(Hook::CgroupRmdir),
            ours(Hook::CssOfflineEnter),
            ours(Hook::CssOffline),
            ours(Hook::CssPut),
            event(Hook::MemcgFree, 8, "", 0),
            event(Hook::MemcgFree, 7, "", 0),
            // The address is used again.
            event(Hook::MemcgFree, 7, "", 0),
        ];
        assert_eq!(fired(&events, b"ours"), expected(Backend::Kprobe, Callbacks::Cgroup));
        let held: Vec<Hook> = fired(&events[..9], b"ours");
        assert_eq!(held.last(), Some(&Hook::CssPut), "css_free alone is not the end: {held:?}");
    }
}
