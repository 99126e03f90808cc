//! Whether kernel memory is charged to memcgs: according to the boot parameters and the cgroups themselves.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path};

use super::{hierarchy::Controller, mounts::directories};
use crate::record::{Kmem, Version};

/// Number of cgroups sampled: on a sick node, each may take half a second.
const ASKED: usize = 100;

/// State of one cgroup.
struct State {
    charged: bool,
    limited: bool,
}

/// Detects it from the boot parameters and a sample of cgroups.
pub fn kmem(parameters: &[String], controller: &Controller, is_container: impl Fn(&[u8]) -> bool) -> Kmem {
    let mut kmem = Kmem { nokmem: nokmem(parameters), ..Kmem::default() };
    // The root's counters say nothing about accounting.
    for directory in directories(&controller.mount).skip(1).take(ASKED) {
        if let Some(state) = state(&directory, controller.version) {
            kmem.cgroups += 1;
            kmem.charged += u64::from(state.charged);
            kmem.limited += u64::from(state.limited);
            let below = directory.strip_prefix(&controller.mount).unwrap_or(Path::new(""));
            if is_container(&[b"/", below.as_os_str().as_bytes()].concat()) {
                kmem.containers += 1;
                kmem.containers_charged += u64::from(state.charged);
            }
        }
    }
    kmem
}
/// `cgroup.memory=` takes a list (Documentation/admin-guide/kernel-parameters.txt).
fn nokmem(parameters: &[String]) -> bool {
    let lists = parameters.iter().filter_map(|parameter| parameter.strip_prefix("cgroup.memory="));
    lists.flat_map(|list| list.split(',')).any(|option| option == "nokmem")
}

fn state(directory: &Path, version: Version) -> Option<State> {
    let number = |file: &str| fs::read_to_string(directory.join(file)).ok()?.trim_end().parse::<u64>().ok();
    match version {
        // "No limit" is the highest number of pages that fits, depending on the kernel: anything close to 2^63.
        Version::V1 => Some(State {
            charged: number("memory.kmem.usage_in_bytes")? > 0,
            limited: number("memory.kmem.limit_in_bytes").is_some_and(|limit| limit < 1 << 60),
        }),
        Version::V2 => {
            let stat = fs::read_to_string(directory.join("memory.stat")).ok()?;
            let charged = |line: &str| {
                let (name, value) = line.split_once(' ')?;
                // `kernel` since 5.18 (a8c49af3be5f).
                let kmem = ["kernel", "slab", "kernel_stack"].contains(&name);
                kmem.then(|| value.parse::<u64>().is_ok_and(|value| value > 0))
            };
            Some(State { charged: stat.lines().filter_map(charged).any(|charged| charged), limited: false })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::nokmem;

    #[test]
    fn boot_parameter_is_a_list() {
        let table = [
            ("quiet cgroup.memory=nokmem", true),
            ("cgroup.memory=nosocket,nokmem quiet", true),
            ("cgroup.memory=nosocket", false),
            ("nokmem", false),
        ];
        for (parameters, expected) in table {
            let parameters: Vec<_> = parameters.split(' ').map(str::to_owned).collect();
            assert_eq!(nokmem(&parameters), expected, "{parameters:?}");
        }
    }
}
