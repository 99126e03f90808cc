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

/// The memcgs that were found in stock, one for each stock.
pub(super) fn read(pass: &mut Pass<'_>, tasks: &Tasks) -> Result<Vec<usize>, MemoryError> {
    let layout = pass.layout.stock;
    let Some(distance) = layout.distance else {
        pass.unread(
            WHAT,
            "neither BTF (pahole 1.22) nor /proc/kallsyms (CONFIG_KALLSYMS_ALL) says where they are",
        );
        return Ok(Vec::new());
    };
    if [layout.cfs_rq, layout.run_queue.queue, layout.cpu].contains(&ABSENT) {
        pass.unread(WHAT, "the way to per-CPU variables takes CONFIG_FAIR_GROUP_SCHED");
        return Ok(Vec::new());
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
    let mut found = Vec::new();
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
            found.push(memcg);
        }
    }
    Ok(found)
}

/// Where each page is a reference, a stock has one of its own besides, on some kernels: 5.9 made it so (1a3e1f40962c), and 5.4.286 does it,
/// too. No member tells, but the counts do.
pub(super) fn settle(pass: &mut Pass<'_>, stocks: &[usize]) {
    if !pass.layout.page.refs_by_page || !have_their_own(stocks, |memcg| pass.missing(memcg)) {
        return;
    }
    let mut memcgs = stocks.to_vec();
    memcgs.sort_unstable();
    memcgs.dedup();
    for memcg in memcgs {
        let references = pass.references_of(memcg).iter_mut();
        let stocks = references.filter(|reference| matches!(reference.thing, Thing::ChargeStock { .. }));
        stocks.for_each(|reference| reference.refs += 1);
    }
}

/// Each memcg that is in stock has as many references that nothing else was found for as it has stocks.
fn have_their_own(stocks: &[usize], missing: impl Fn(usize) -> u64) -> bool {
    let of = |memcg: usize| stocks.iter().filter(|stock| **stock == memcg).count() as u64;
    stocks.iter().all(|memcg| missing(*memcg) >= of(*memcg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stocks_have_references_of_their_own_where_no_count_speaks_against_it() {
        /// The memcg of each stock, what each memcg misses, and whether that is the stocks'.
        type Row<'a> = (&'a [usize], &'a [u64], bool);
        let table: &[Row<'_>] = &[
            (&[0], &[1], true),
            (&[0, 0], &[2], true),
            (&[0, 0], &[1], false),
            // All is found: on this kernel they have none.
            (&[0, 1], &[1, 0], false),
            (&[1], &[0, 5], true),
        ];
        for (stocks, missing, expected) in table {
            assert_eq!(have_their_own(stocks, |memcg| missing[memcg]), *expected, "{stocks:?} {missing:?}");
        }
    }
}
