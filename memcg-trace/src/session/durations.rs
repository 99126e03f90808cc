//! Durations, counted by their length.

/// Where one class ends and the next begins, ns: from 1 ms, an RCU grace period on an idle machine, to a week.
const EDGES_NS: [u64; 11] = {
    const S: u64 = 1_000_000_000;
    [S / 1_000, S / 100, S / 10, S, 10 * S, 60 * S, 600 * S, 3_600 * S, 21_600 * S, 86_400 * S, 604_800 * S]
};

/// How many durations there are of each class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    counts: [u64; EDGES_NS.len() + 1],
    unknown: u64,
    longest_ns: Option<u64>,
}

/// One class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationClass {
    /// Its shortest, ns.
    pub from_ns: u64,
    /// The shortest of the next class; `None`: it is the last.
    pub before_ns: Option<u64>,
    pub count: u64,
}

impl Durations {
    /// `None`: there is one, and it is not known.
    pub fn add(&mut self, duration_ns: Option<u64>) {
        match duration_ns {
            Some(ns) => self.counts[EDGES_NS.partition_point(|edge_ns| *edge_ns <= ns)] += 1,
            None => self.unknown += 1,
        }
        self.longest_ns = self.longest_ns.max(duration_ns);
    }

    /// Those that are known.
    pub fn known(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    pub fn longest_ns(&self) -> Option<u64> {
        self.longest_ns
    }

    /// From the shortest to the longest, empty ones included.
    pub fn classes(&self) -> impl Iterator<Item = DurationClass> {
        let from = std::iter::once(0).chain(EDGES_NS);
        let before = EDGES_NS.into_iter().map(Some).chain([None]);
        let of = |((from_ns, before_ns), count)| DurationClass { from_ns, before_ns, count };
        from.zip(before).zip(self.counts).map(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_its_class() {
        let table =
            [(0, 0), (999_999, 0), (1_000_000, 1), (59_999_999_999, 5), (60_000_000_000, 6), (u64::MAX, 11)];
        for (ns, place) in table {
            let mut durations = Durations::default();
            durations.add(Some(ns));
            let classes: Vec<DurationClass> = durations.classes().collect();
            let class = classes.iter().position(|class| class.count == 1).expect("one is not empty");
            assert_eq!(class, place, "{ns}");
            assert!(
                classes[class].from_ns <= ns && classes[class].before_ns.is_none_or(|end_ns| ns < end_ns)
            );
            assert_eq!((durations.known(), durations.longest_ns()), (1, Some(ns)));
        }
    }

    #[test]
    fn unknown_is_in_none() {
        let mut durations = Durations::default();
        durations.add(None);
        assert_eq!((durations.known(), durations.unknown(), durations.longest_ns()), (0, 1, None));
    }
}
