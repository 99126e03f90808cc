//! kprobes before 4.17: leftover events, and missed hits.
//!
//! There a kprobe is a line in the file `kprobe_events`, under a name chosen by its creator, and stays until it is
//! removed. aya names ours `aya_PID_p_FUNCTION_0x0_N`. (Since 4.17, e12f03d7031a "perf/core: Implement the
//! 'perf_kprobe' PMU", it goes with its descriptor.)

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use super::{plan, slab_plan};

/// Path of `kprobe_events`, if it exists.
pub fn file() -> Option<PathBuf> {
    ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .map(|tracing| Path::new(tracing).join("kprobe_events"))
        .into_iter()
        .find(|file| file.exists())
}

/// Removes events that dead processes left on functions we hook; all others belong to somebody. (The process may be
/// alive in another PID namespace: the kernel refuses to remove events in use.)
pub fn remove_leftovers() {
    let functions: HashSet<&str> = plan::functions().chain(slab_plan::functions()).collect();
    remove_events(
        |Event { pid, function, .. }| functions.contains(function) && !is_alive(*pid),
        |event, removed| match removed {
            Ok(()) => log::info!("removed the kprobe {event}, whose process is gone"),
            Err(error) => log::warn!("cannot remove the kprobe {event}, whose process is gone: {error}"),
        },
    );
}

/// Removes our own events when dropped. It must outlive the programs: aya removes an event while its descriptor is
/// still open, which kernels before 4.17 refuse.
pub struct Own;

impl Drop for Own {
    fn drop(&mut self) {
        // Events that cannot be removed are in use by our other programs.
        remove_events(
            |event| event.pid == process::id(),
            |event, removed| log::debug!("{event}: {removed:?}"),
        );
    }
}

/// Missed hits of our kprobe on this target, at its return or its entry; the maximum, if there are several. `None`: not
/// in the file. `kprobe_profile` has a line `NAME HITS MISSES` for each (Documentation/trace/kprobetrace).
pub fn misses(target: &str, returns: bool) -> Option<u64> {
    let profile = fs::read_to_string(file()?.with_file_name("kprobe_profile")).ok()?;
    profile.lines().filter_map(|line| missed(line, process::id(), target, returns)).max()
}

fn missed(line: &str, pid: u32, target: &str, returns: bool) -> Option<u64> {
    let mut words = line.split_whitespace();
    let event = Event::named(words.next()?)?;
    let on_target = target.split('|').any(|function| function == event.function);
    let ours = on_target && (event.pid, event.returns) == (pid, returns);
    words.nth(1).filter(|_| ours)?.parse().ok()
}

fn remove_events(which: impl Fn(&Event<'_>) -> bool, told: impl Fn(&str, io::Result<()>)) {
    let Some(file) = file() else { return };
    let events = fs::read_to_string(&file).unwrap_or_default();
    for event in events.lines().filter_map(Event::of).filter(which) {
        let removed = OpenOptions::new()
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(format!("-:kprobes/{}\n", event.name).as_bytes()));
        told(event.name, removed);
    }
}

/// A line of the file that aya made: `p:kprobes/aya_PID_p_FUNCTION_0x0_N FUNCTION`, `r` and `r64` at the return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event<'a> {
    name: &'a str,
    pid: u32,
    function: &'a str,
    returns: bool,
}

impl<'a> Event<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (_, name) = line.split_whitespace().next()?.split_once(":kprobes/")?;
        Self::named(name)
    }

    fn named(name: &'a str) -> Option<Self> {
        let (pid, rest) = name.strip_prefix("aya_")?.split_once('_')?;
        let returns = rest.starts_with("r_");
        let function = rest.strip_prefix("p_").or_else(|| rest.strip_prefix("r_"))?.rsplit_once("_0x0_")?.0;
        Some(Self { name, pid: pid.parse().ok()?, function, returns })
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_aya_made() {
        let table = [
            (
                "p:kprobes/aya_7_p_mem_cgroup_css_free_0x0_1 mem_cgroup_css_free",
                Some((7, "mem_cgroup_css_free")),
            ),
            (
                "r64:kprobes/aya_7_r_mem_cgroup_css_alloc_0x0_3 mem_cgroup_css_alloc",
                Some((7, "mem_cgroup_css_alloc")),
            ),
            ("p:kprobes/aya_8_p___mem_cgroup_free_0x0_0 __mem_cgroup_free", Some((8, "__mem_cgroup_free"))),
            ("p:kprobes/aya_x_p_mem_cgroup_css_free_0x0_1 mem_cgroup_css_free", None),
            ("p:kprobes/p_mem_cgroup_css_free_0 mem_cgroup_css_free", None),
            ("p:mine/aya_7_p_mem_cgroup_css_free_0x0_1 mem_cgroup_css_free", None),
        ];
        for (line, expected) in table {
            assert_eq!(Event::of(line).map(|event| (event.pid, event.function)), expected, "{line}");
        }
    }

    #[test]
    fn misses_of_our_own() {
        let of = |line| missed(line, 7, "mem_cgroup_css_free", false);
        assert_eq!(
            of("  aya_7_p_mem_cgroup_css_free_0x0_1                         5               3"),
            Some(3)
        );
        assert_eq!(of("  aya_8_p_mem_cgroup_css_free_0x0_1                         5               3"), None);
        assert_eq!(of("  aya_7_r_mem_cgroup_css_free_0x0_1                         5               3"), None);
        assert_eq!(of("  p_mem_cgroup_css_free_0                                   5               3"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn every_function_that_is_hooked() {
        let functions: HashSet<&str> = plan::functions().chain(slab_plan::functions()).collect();
        for function in
            ["__mem_cgroup_free", "mem_cgroup_css_alloc", "cgroup_mkdir", "kmem_cache_create_memcg"]
        {
            assert!(functions.contains(function), "{function}");
        }
        assert!(!functions.contains("tcp_connect"));
    }
}
