//! The third witness: what pins the memcgs according to their references.

use std::borrow::Borrow;

use crate::cause::{Pin, PinTotal, Pinned, pin_totals};

/// What was found to refer to the dying memcgs of a scenario while its pins were in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinsNamed {
    /// The kinds that the scenario pins with: each memcg has one of them. Empty: it should leave no memcg.
    expected: &'static [Pin],
    memcgs: u64,
    /// Number of memcgs that have none of them.
    without: u64,
    /// References that nothing was found for.
    unexplained: u64,
    /// Most references first.
    by: Vec<PinTotal>,
}

impl PinsNamed {
    pub fn new<P: Borrow<Pinned>>(expected: &'static [Pin], pinned: &[P]) -> Self {
        let pinned = || pinned.iter().map(Borrow::borrow);
        let has = |pinned: &&Pinned| pinned.by.iter().any(|by| expected.contains(&by.pin));
        Self {
            expected,
            memcgs: pinned().count() as u64,
            without: pinned().filter(|pinned| !has(pinned)).count() as u64,
            unexplained: pinned().map(|pinned| pinned.refs - pinned.explained).sum(),
            by: pin_totals(pinned()),
        }
    }

    pub fn by(&self) -> &[PinTotal] {
        &self.by
    }

    /// What differs from what the scenario pins with; `None`: exactly that was named.
    pub fn contradiction(&self) -> Option<String> {
        let Self { expected, memcgs, without, unexplained, by } = self;
        if *without > 0 && !expected.is_empty() {
            let expected: Vec<_> = expected.iter().map(|pin| pin.name()).collect();
            let named = by.iter().map(|total| total.pin).filter(|pin| *pin != Pin::Unexplained);
            let by: Vec<_> = named.map(Pin::name).collect();
            let by = if by.is_empty() { "nothing".to_owned() } else { by.join(", ") };
            let expected = expected.join(" or ");
            return Some(format!("explain names no {expected} for {without} of {memcgs} memcgs, but {by}"));
        }
        let plural = if *unexplained == 1 { "" } else { "s" };
        (*unexplained > 0).then(|| format!("explain leaves {unexplained} reference{plural} unexplained"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::PinnedBy;

    fn pinned(by: &[(Pin, u64)]) -> Pinned {
        let refs = by.iter().map(|(_, refs)| refs).sum();
        let rest = by.iter().filter(|(pin, _)| *pin == Pin::Unexplained).map(|(_, refs)| refs).sum::<u64>();
        let by = by.iter().map(|&(pin, refs)| PinnedBy {
            pin,
            refs,
            things: 1,
            what: None,
            holder: None,
            holders: 0,
        });
        Pinned { refs, explained: refs - rest, complete: rest == 0, by: by.collect() }
    }

    #[test]
    fn each_memcg_has_one_of_the_kinds() {
        let child = pinned(&[(Pin::Tmpfs, 16), (Pin::ChargeStock, 1)]);
        let parent = pinned(&[(Pin::Child, 1)]);
        let nested = PinsNamed::new(&[Pin::Tmpfs, Pin::Child], &[&child, &parent]);
        assert_eq!(nested.contradiction(), None);
        let by: Vec<_> = nested.by().iter().map(|total| (total.pin, total.refs, total.memcgs)).collect();
        assert_eq!(by, [(Pin::Tmpfs, 16, 1), (Pin::ChargeStock, 1, 1), (Pin::Child, 1, 1)]);

        let said =
            PinsNamed::new(&[Pin::Tmpfs], &[&child, &parent]).contradiction().expect("a contradiction");
        assert_eq!(
            said,
            "explain names no tmpfs file for 1 of 2 memcgs, but tmpfs file, charge stock, child memcg"
        );
        let nothing = PinsNamed::new(&[Pin::Task], &[pinned(&[])]).contradiction();
        assert_eq!(nothing.as_deref(), Some("explain names no task for 1 of 1 memcgs, but nothing"));
    }

    #[test]
    fn what_is_unexplained_is_told() {
        let part = pinned(&[(Pin::Anon, 3), (Pin::Unexplained, 2)]);
        let said = PinsNamed::new(&[Pin::Anon], std::slice::from_ref(&part)).contradiction();
        assert_eq!(said.as_deref(), Some("explain leaves 2 references unexplained"));
        let one = pinned(&[(Pin::Anon, 3), (Pin::Unexplained, 1)]);
        let said = PinsNamed::new(&[Pin::Anon], &[one]).contradiction();
        assert_eq!(said.as_deref(), Some("explain leaves 1 reference unexplained"));
        // A scenario that should leave nothing pins with nothing.
        let whole = pinned(&[(Pin::Anon, 3)]);
        assert_eq!(PinsNamed::new(&[], &[whole]).contradiction(), None);
    }
}
