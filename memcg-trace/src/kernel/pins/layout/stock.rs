//! Charge stocks, and the way to them.

use super::offsets;
use crate::kernel::layout::Types;

/// More slots than a stock has.
const SLOTS_MAX: u32 = 64;

offsets! {
    StockOffsets of "memcg_stock_pcp" {
        memcgs: "cached",
        pages: "nr_pages",
    }
}

offsets! {
    /// Needs CONFIG_FAIR_GROUP_SCHED.
    RunQueueOffsets of "cfs_rq" {
        queue: "rq",
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::pins) struct StockLayout {
    pub offsets: StockOffsets,
    /// Slots of a stock; one until 6.16.
    pub slots: Option<u32>,
    /// `task_struct.se.cfs_rq`
    pub cfs_rq: u32,
    pub run_queue: RunQueueOffsets,
    /// `rq.cpu`
    pub cpu: u32,
    /// From a CPU's `runqueues` to its `memcg_stock`.
    pub distance: Option<i64>,
}

impl StockLayout {
    pub fn of(types: &Types<'_>) -> Self {
        let queues = types.per_cpu("runqueues").map(i64::from);
        let stock = types.per_cpu("memcg_stock").map(i64::from);
        Self {
            offsets: StockOffsets::of(types),
            slots: types.array_length("memcg_stock_pcp", "cached").map(|slots| (slots as u32).min(SLOTS_MAX)),
            cfs_rq: types.optional("task_struct", "se.cfs_rq"),
            run_queue: RunQueueOffsets::of(types),
            cpu: types.optional("rq", "cpu"),
            distance: stock.zip(queues).map(|(stock, queues)| stock - queues),
        }
    }
}
