//! kprobes that a crash left behind.
//!
//! Before 4.17 a kprobe is a line in the file `kprobe_events`, under a name that its maker chooses, and stays until somebody
//! removes it. aya names ours `aya_PID_p_FUNCTION_0x0_N`. (Since 4.17, e12f03d7031a "perf/core: Implement the 'perf_kprobe'
//! PMU", it goes with its descriptor.)

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

/// The file `kprobe_events`, where there is one.
pub fn kprobe_events() -> Option<PathBuf> {
    ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .map(|tracing| Path::new(tracing).join("kprobe_events"))
        .into_iter()
        .find(|file| file.exists())
}

/// Removes what dead processes left on functions that we hook. Whatever else is there is somebody's. (The process may live in
/// another PID namespace: the kernel refuses to remove what is in use.)
pub fn remove() {
    let Some(file) = kprobe_events() else { return };
    let events = fs::read_to_string(&file).unwrap_or_default();
    for event in events.lines().filter_map(name).filter(|event| is_left_over(event, is_alive)) {
        let removed = OpenOptions::new()
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(format!("-:kprobes/{event}\n").as_bytes()));
        match removed {
            Ok(()) => log::info!("removed the kprobe {event}, whose process is gone"),
            Err(error) => log::warn!("cannot remove the kprobe {event}, whose process is gone: {error}"),
        }
    }
}

/// The name in a line of the file: `p:kprobes/NAME FUNCTION`.
fn name(line: &str) -> Option<&str> {
    line.split_whitespace().next()?.split_once(":kprobes/").map(|(_, name)| name)
}

/// `aya_PID_p_FUNCTION_0x0_N` of a process that is gone, on a callback of the memory controller.
fn is_left_over(event: &str, is_alive: impl Fn(u32) -> bool) -> bool {
    let Some((pid, rest)) = event.strip_prefix("aya_").and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    let function = rest.strip_prefix("p_").or_else(|| rest.strip_prefix("r_"));
    let ours =
        function.is_some_and(|f| f.starts_with("mem_cgroup_css_") || f.starts_with("__mem_cgroup_free_"));
    ours && pid.parse().is_ok_and(|pid| !is_alive(pid))
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_and_dead() {
        let table = [
            ("p:kprobes/aya_7_p_mem_cgroup_css_free_0x0_1 mem_cgroup_css_free", true),
            ("r64:kprobes/aya_7_r_mem_cgroup_css_alloc_0x0_3 mem_cgroup_css_alloc", true),
            ("p:kprobes/aya_7_p___mem_cgroup_free_0x0_0 __mem_cgroup_free", true),
            ("p:kprobes/aya_8_p_mem_cgroup_css_free_0x0_1 mem_cgroup_css_free", false),
            ("p:kprobes/aya_7_p_tcp_connect_0x0_1 tcp_connect", false),
            ("p:kprobes/p_mem_cgroup_css_free_0 mem_cgroup_css_free", false),
            ("p:mine/aya_7_p_mem_cgroup_css_free_0x0_1 mem_cgroup_css_free", false),
        ];
        for (line, expected) in table {
            let left_over = name(line).is_some_and(|event| is_left_over(event, |pid| pid == 8));
            assert_eq!(left_over, expected, "{line}");
        }
    }
}
