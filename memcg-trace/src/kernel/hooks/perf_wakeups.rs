//! Perf buffers with a wake-up per half of the buffer, so that tracing causes next to no interrupts.
//!
//! aya opens a perf buffer so that every record wakes its reader (`wakeup_events = 1`). The kernel does that with a
//! self-interrupt (irq_work), whose cost falls on the traced process although nobody waits: 11 µs per event in a VM
//! without APIC virtualization, compared to 0.5 µs for the hook itself. So a second event, which wakes up once per half
//! of the buffer, writes into aya's buffer (`PERF_EVENT_IOC_SET_OUTPUT`) and replaces the first in the map.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{
    PERF_FLAG_FD_CLOEXEC, bpf_attr, bpf_cmd::BPF_MAP_UPDATE_ELEM, perf_event_attr,
    perf_event_sample_format::PERF_SAMPLE_RAW, perf_sw_ids::PERF_COUNT_SW_BPF_OUTPUT,
    perf_type_id::PERF_TYPE_SOFTWARE,
};

use super::missed_firings::bpf;

/// `_IO('$', 5)` of linux/perf_event.h; the generated bindings lack it.
const PERF_EVENT_IOC_SET_OUTPUT: libc::c_ulong = 0x2405;

/// Replaces the event of `buffer` in the perf event array `map`. The map keeps the new one.
pub fn batch(map: impl AsFd, buffer: impl AsFd, cpu: u32) -> io::Result<()> {
    let event = open(cpu)?;
    // SAFETY: both are descriptors of perf events; no memory is passed.
    let result =
        unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_OUTPUT, buffer.as_fd().as_raw_fd()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let value = event.as_raw_fd() as u32;
    // SAFETY: a C union of integers, for which zero is a value.
    let mut attr = unsafe { mem::zeroed::<bpf_attr>() };
    // SAFETY: as above, for the member that this command takes.
    let update = unsafe { &mut attr.__bindgen_anon_2 };
    update.map_fd = map.as_fd().as_raw_fd() as u32;
    update.key = (&raw const cpu) as u64;
    update.__bindgen_anon_1.value = (&raw const value) as u64;
    bpf(BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Opens the same event as aya does, except for the wake-ups.
fn open(cpu: u32) -> io::Result<OwnedFd> {
    // SAFETY: a plain C struct of integers, for which zero is a value.
    let mut attr = unsafe { mem::zeroed::<perf_event_attr>() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr.type_ = PERF_TYPE_SOFTWARE as u32;
    attr.config = PERF_COUNT_SW_BPF_OUTPUT as u64;
    attr.sample_type = PERF_SAMPLE_RAW as u64;
    attr.__bindgen_anon_1.sample_period = 1;
    // Wake up by bytes, not events. The default watermark is half of the buffer.
    attr.set_watermark(1);
    let (all_processes, no_group) = (-1, -1);
    // SAFETY: `attr` has the size that it says and outlives the call.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            all_processes,
            cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(event as i32) })
}
