//! The memcg ID of a dying memcg, which its swap entries hold: a reference in all, however many entries there are
//! (`mem_cgroup_id_get_many`, mm/memcontrol.c).
//!
//! Which device an entry is on says the kernel's map of swap entries alone, and there is no way to that without symbols; where
//! there is one device, it is that.

use std::fs;

use super::pass::Pass;
use crate::{
    cause::{SwapDevice, Thing},
    kernel::memory::{Members, MemoryError},
};

const SWAPS: &str = "/proc/swaps";

pub(super) fn read(pass: &mut Pass<'_>) -> Result<(), MemoryError> {
    let layout = pass.walk.layout;
    let csses = pass.memcgs.csses();
    let rows = pass.memory.rows(&csses, &Members::of(&[layout.memcg_id, layout.memcg_id_ref]))?;
    let held = |memcg: usize| {
        let id: u16 = rows.get(memcg, layout.memcg_id).filter(|id| *id != 0)?;
        let entries: u32 = rows.get(memcg, layout.memcg_id_ref).filter(|entries| *entries != 0)?;
        Some((memcg, id, u64::from(entries)))
    };
    let held: Vec<(usize, u16, u64)> = (0..csses.len()).filter_map(held).collect();
    if held.is_empty() {
        return Ok(());
    }
    let devices = devices(&fs::read(SWAPS).unwrap_or_default());
    for (memcg, id, entries) in held {
        let device = |device: &[u8]| SwapDevice {
            device: device.into(),
            entries,
            files: Vec::new(),
            processes: Vec::new(),
        };
        let devices = devices.iter().filter(|_| devices.len() == 1).map(|name| device(name)).collect();
        pass.refer(memcg, 1, Thing::Swap { id, entries: Some(entries), devices }, Vec::new());
    }
    Ok(())
}

/// The devices and files of /proc/swaps, below its line of titles. Names are escaped there, with octal digits (`swap_show`,
/// mm/swapfile.c), and taken as they are.
fn devices(text: &[u8]) -> Vec<Box<[u8]>> {
    let name = |line: &[u8]| {
        let name = line.split(|byte| matches!(byte, b' ' | b'\t')).next()?;
        (!name.is_empty()).then(|| name.into())
    };
    text.split(|byte| *byte == b'\n').skip(1).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_proc_swaps() {
        let titles = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("/dev/zram0                              partition\t65532\t\t1024\t\t-2\n", &["/dev/zram0"]),
            (
                "/dev/dm-1 partition\t1\t0\t-2\n/swap\\040file file\t1\t0\t-3\n",
                &["/dev/dm-1", "/swap\\040file"],
            ),
        ];
        for (lines, expected) in table {
            let found = devices([titles, lines].concat().as_bytes());
            let expected: Vec<Box<[u8]>> = expected.iter().map(|name| name.as_bytes().into()).collect();
            assert_eq!(found, expected, "{lines}");
        }
    }
}
