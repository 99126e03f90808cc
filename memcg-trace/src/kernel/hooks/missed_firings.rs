//! Firings that the kernel skipped. They never reach the perf buffer; only the kernel's own counters show them.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{
    bpf_attr,
    bpf_cmd::{self, BPF_LINK_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD},
    bpf_link_info,
    bpf_link_type::BPF_LINK_TYPE_PERF_EVENT,
    bpf_perf_event_type::{BPF_PERF_EVENT_KPROBE, BPF_PERF_EVENT_KRETPROBE},
    bpf_prog_info,
};

/// Runs of a program that the recursion guard refused (`recursion_misses`, 5.12). `None` where the kernel does not
/// count them.
pub fn recursion_misses(program: impl AsFd) -> Option<u64> {
    info::<bpf_prog_info>(program).ok().map(|info| info.recursion_misses)
}

/// Hits that a kprobe missed because another one was being handled (`kprobe.missed`, 6.7). `None` where the kernel does
/// not report it, or the link is not a kprobe's.
pub fn kprobe_misses(link: impl AsFd) -> Option<u64> {
    let info = info::<bpf_link_info>(link).ok()?;
    if info.type_ != BPF_LINK_TYPE_PERF_EVENT as u32 {
        return None;
    }
    // SAFETY: the link's type says that this member of the union is set; the kernel zeroes what it does not fill.
    let event = unsafe { info.__bindgen_anon_1.perf_event };
    let kprobe = [BPF_PERF_EVENT_KPROBE as u32, BPF_PERF_EVENT_KRETPROBE as u32].contains(&event.type_);
    if !kprobe {
        return None;
    }
    // SAFETY: as above, by the type of the perf event.
    Some(unsafe { event.__bindgen_anon_1.kprobe.missed })
}

/// A descriptor of a link, which keeps it attached. `None` without CAP_SYS_ADMIN.
pub fn link_by_id(id: u32) -> Option<OwnedFd> {
    // SAFETY: a C union of integers, for which zero is a value.
    let mut attr = unsafe { mem::zeroed::<bpf_attr>() };
    attr.__bindgen_anon_6.__bindgen_anon_1.link_id = id;
    let descriptor = bpf(BPF_LINK_GET_FD_BY_ID, &mut attr).ok()?;
    // SAFETY: the kernel has just opened it for us.
    Some(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `BPF_OBJ_GET_INFO_BY_FD`; a kernel older than `T` leaves what it does not know zero.
fn info<T>(object: impl AsFd) -> io::Result<T> {
    // SAFETY: both are plain C structs and unions of integers, for which zero is a value.
    let (mut info, mut attr) = unsafe { (mem::zeroed::<T>(), mem::zeroed::<bpf_attr>()) };
    attr.info.bpf_fd = object.as_fd().as_raw_fd() as u32;
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = (&raw mut info) as u64;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(|_| info)
}

pub(super) fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: `attr` has the size given; what it points to outlives the call (see the callers).
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as i64, &raw mut *attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
