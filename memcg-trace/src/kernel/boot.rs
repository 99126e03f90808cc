//! The running kernel's release, boot parameters and sysctls, and the size of the machine.

use std::fs;

/// `uname -r`; empty if it cannot be read.
pub fn release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| String::new(), |name| name.release().to_string_lossy().into_owned())
}

/// The boot parameters, in order.
pub fn parameters() -> Vec<String> {
    read("/proc/cmdline").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// `MemTotal` of /proc/meminfo.
pub fn memory_bytes() -> Option<u64> {
    let meminfo = read("/proc/meminfo")?;
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    Some(kib? << 10)
}

/// Value of a sysctl, read from /proc/sys.
pub fn sysctl(name: &str) -> Option<String> {
    read(&format!("/proc/sys/{}", name.replace('.', "/")))
}

/// The boot id; differs for every boot.
pub fn id() -> Option<String> {
    read("/proc/sys/kernel/random/boot_id")
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}
