//! What a part of an explanation is made of: a thing, or what only makes sense together.

use super::facts::{NetNamespace, Thing};

/// What has the references of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    Thing(Thing),
    /// A network namespace whose sockets these are.
    NetNamespace(NetNamespace),
    /// Stocks of these CPUs, with the pages in them where that is known.
    ChargeStocks {
        cpus: Vec<u32>,
        pages: Option<u64>,
    },
    Nothing,
}
