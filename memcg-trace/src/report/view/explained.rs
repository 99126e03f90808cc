//! One memcg with all that pins it.

use super::{Listed, PartView};
use crate::{
    attribution::{ByOwner, Owner},
    cause::Explanation,
    report::escape::Name,
};

/// One memcg and what pins it.
#[derive(Clone, Debug)]
pub struct ExplainedMemcg<'a> {
    pub listed: Listed<'a>,
    pub explanation: &'a Explanation,
    /// Most references first.
    pub parts: Vec<PartView<'a>>,
}

impl ExplainedMemcg<'_> {
    /// Whose it was.
    pub fn owner(&self) -> Owner {
        let path = self.listed.memcg.path.map(|Name(path)| path);
        ByOwner::Workload.owner(self.listed.container.as_ref(), path)
    }
}
