//! Charge stocks: each CPU keeps some pages charged in advance, and refers to each memcg that it has in stock.
//!
//! The way to a CPU's variables without a symbol is its ksoftirqd: a task of the root task group, whose run queue is that CPU's
//! `runqueues`. BTF says how far apart per-CPU variables are.

use memcg_trace_common::ABSENT;

use super::{pass::Pass, tasks::Tasks};
use crate::{
    cause::Thing,
    kernel::memory::{Members, MemoryError, symbols::symbol},
};

const WHAT: &str = "charge stocks";

/// The distance by /proc/kallsyms, which has per-CPU variables with CONFIG_KALLSYMS_ALL. `None`: hidden, or not there.
pub(super) fn distance_by_symbols() -> Option<i64> {
    let (stock, queues) = (symbol("memcg_stock").ok()?, symbol("runqueues").ok()?);
    Some((stock as i64).wrapping_sub(queues as i64))
}

pub(super) fn read(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<(), MemoryError> {
    let layout = pass.layout.stock;
    let Some(distance) = layout.distance else {
        pass.unread(
            WHAT,
            "neither BTF (pahole 1.22) nor /proc/kallsyms (CONFIG_KALLSYMS_ALL) says where they are",
        );
        return Ok(());
    };
    if [layout.cfs_rq, layout.run_queue.queue, layout.cpu].contains(&ABSENT) {
        pass.unread(WHAT, "the way to per-CPU variables takes CONFIG_FAIR_GROUP_SCHED");
        return Ok(());
    }
    let (cpus, threads): (Vec<u32>, Vec<u64>) = tasks
        .iter()
        .filter(|task| task.mm == 0)
        .filter_map(|task| {
            let cpu = str::from_utf8(task.comm.strip_prefix(b"ksoftirqd/")?).ok()?;
            Some((cpu.parse::<u32>().ok()?, task.address))
        })
        .unzip();
    let queues = pass.memory.chase(&threads, &[layout.cfs_rq, layout.run_queue.queue])?;
    let numbers = pass.memory.rows(&queues, &Members::of(&[layout.cpu]))?;
    let stocks: Vec<u64> = queues.iter().map(|queue| queue.wrapping_add_signed(distance)).collect();
    let slots = layout.slots.unwrap_or(1);
    let words: Vec<u32> = (0..slots).map(|slot| layout.offsets.memcgs.saturating_add(8 * slot)).collect();
    // An amount of pages takes a byte where there are several, 32 bits otherwise.
    let width = if layout.slots.is_some() { 1 } else { 4 };
    let members = Members::of(&words).with(layout.offsets.pages, width * slots);
    let rows = pass.memory.rows(&stocks, &members)?;
    for (row, cpu) in cpus.into_iter().enumerate() {
        if numbers.get(row, layout.cpu) != Some(cpu) {
            pass.unread(WHAT, format!("the run queue of CPU {cpu} was not found"));
            continue;
        }
        for (slot, word) in words.iter().enumerate() {
            let Some(memcg) = pass.memcgs.at(rows.pointer(row, *word)) else { continue };
            let at = layout.offsets.pages.saturating_add(width * slot as u32);
            let pages = match layout.slots {
                Some(_) => rows.get::<u8>(row, at).map(u64::from),
                None => rows.get::<u32>(row, at).map(u64::from),
            };
            // Pages in stock refer to the memcg like all others.
            let refs = if pass.layout.page.refs_by_page { pages.unwrap_or(0) } else { 1 };
            pass.refer(memcg, refs, Thing::ChargeStock { cpu, pages }, Vec::new());
        }
    }
    Ok(())
}
