//! A queue in which nobody waits for the many questions of somebody else.
//!
//! Whoever has a cgroup of their own can make more of them below it, and with them questions. So time is shared along the
//! tree of cgroups: at each level the branch goes next that took the least time so far. Whatever a tenant does stays within
//! the share of the tenant's own branch. When there is no room left, the fullest branch loses its latest question.

use std::collections::{HashMap, VecDeque};

/// Levels that are told apart, and branches of one of them: what is beyond shares a place.
const LEVELS: usize = 8;
const BRANCHES_MAX: usize = 1024;

/// Waiting jobs, by the cgroup that contains what they are about.
#[derive(Debug)]
pub struct Fair<T> {
    root: Branch<T>,
}

#[derive(Debug)]
struct Branch<T> {
    /// About cgroups that are children of this one.
    here: VecDeque<T>,
    /// Time that these took, ns.
    here_ns: u64,
    below: HashMap<Box<[u8]>, Branch<T>>,
    /// Here and below.
    waiting: usize,
    /// Time that all of these took, ns. A branch that was idle has saved nothing.
    spent_ns: u64,
    /// That of the last one that went next: what is behind it has nothing to catch up with.
    reached_ns: u64,
}

impl<T> Default for Branch<T> {
    fn default() -> Self {
        Self {
            here: VecDeque::new(),
            here_ns: 0,
            below: HashMap::new(),
            waiting: 0,
            spent_ns: 0,
            reached_ns: 0,
        }
    }
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self { root: Branch::default() }
    }
}

impl<T> Fair<T> {
    pub fn len(&self) -> usize {
        self.root.waiting
    }

    /// Each job, in no order.
    pub fn for_each(&self, mut look: impl FnMut(&T)) {
        self.root.for_each(&mut look);
    }

    /// Appends a job about the cgroup at `path`.
    pub fn push(&mut self, path: &[u8], job: T) {
        let mut branch = &mut self.root;
        branch.waiting += 1;
        for name in above(path) {
            let (full, reached_ns) = (branch.below.len() >= BRANCHES_MAX, branch.reached_ns);
            if full && !branch.below.contains_key(name) {
                break;
            }
            branch = branch.below.entry(name.into()).or_default();
            if branch.waiting == 0 {
                branch.spent_ns = branch.spent_ns.max(reached_ns);
            }
            branch.waiting += 1;
        }
        if branch.here.is_empty() {
            branch.here_ns = branch.here_ns.max(branch.reached_ns);
        }
        branch.here.push_back(job);
    }

    /// The job that is next.
    pub fn pop(&mut self) -> Option<T> {
        let mut branch = &mut self.root;
        loop {
            branch.waiting = branch.waiting.checked_sub(1)?;
            let reached_ns = branch.reached_ns;
            branch.below.retain(|_, below| below.waiting > 0 || below.spent_ns > reached_ns);
            let waiting = branch.below.iter_mut().filter(|(_, below)| below.waiting > 0);
            // By name, where they took the same: the order of a map is no order.
            let next = waiting.min_by(|(a, x), (b, y)| (x.spent_ns, a).cmp(&(y.spent_ns, b)));
            match next {
                Some((_, below)) if branch.here.is_empty() || below.spent_ns < branch.here_ns => {
                    branch.reached_ns = branch.reached_ns.max(below.spent_ns);
                    branch = below;
                }
                _ => {
                    branch.reached_ns = branch.reached_ns.max(branch.here_ns);
                    return branch.here.pop_front();
                }
            }
        }
    }

    /// A job about the cgroup at `path` took so long.
    pub fn charge(&mut self, path: &[u8], took_ns: u64) {
        let mut branch = &mut self.root;
        for name in above(path) {
            // Checked first: the borrow of a failed lookup would last.
            if !branch.below.contains_key(name) {
                break;
            }
            let Some(below) = branch.below.get_mut(name) else { break };
            below.spent_ns = below.spent_ns.saturating_add(took_ns);
            branch = below;
        }
        branch.here_ns = branch.here_ns.saturating_add(took_ns);
    }

    /// Takes the latest job of the branch that has the most.
    pub fn pop_from_fullest(&mut self) -> Option<T> {
        let mut branch = &mut self.root;
        loop {
            branch.waiting = branch.waiting.checked_sub(1)?;
            let below = branch.below.iter_mut();
            let fullest = below.max_by(|(a, x), (b, y)| (x.waiting, a).cmp(&(y.waiting, b)));
            match fullest {
                Some((_, below)) if below.waiting > branch.here.len() => branch = below,
                _ => return branch.here.pop_back(),
            }
        }
    }
}

impl<T> Branch<T> {
    fn for_each(&self, look: &mut impl FnMut(&T)) {
        self.here.iter().for_each(&mut *look);
        self.below.values().for_each(|below| below.for_each(look));
    }
}

/// The cgroups above the one at `path`, from the root on.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    path[..end].split(|&byte| byte == b'/').filter(|name| !name.is_empty()).take(LEVELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs by their paths; serves as many as that, each taking 1 ms, and gives the order of their first components.
    fn serve(fair: &mut Fair<String>, jobs: usize) -> Vec<String> {
        let mut order = Vec::new();
        for _ in 0..jobs {
            let path = fair.pop().expect("a job");
            fair.charge(path.as_bytes(), 1_000_000);
            order.push(path.split('/').nth(1).unwrap_or_default().to_owned());
        }
        order
    }

    fn push(fair: &mut Fair<String>, path: String) {
        fair.push(path.as_bytes(), path.clone());
    }

    #[test]
    fn a_flood_delays_others_by_one_job() {
        let mut fair = Fair::default();
        for number in 0..10_000 {
            push(&mut fair, format!("/tenant/{}/{number}/x", number % 3000));
        }
        assert_eq!(serve(&mut fair, 100), ["tenant"; 100]);
        for number in 0..3 {
            push(&mut fair, format!("/docker/{number}"));
        }
        let order = serve(&mut fair, 6);
        assert_eq!(order.iter().filter(|of| *of == "docker").count(), 3, "{order:?}");
        assert_eq!((fair.len(), serve(&mut fair, 9_897).len(), fair.pop()), (9_897, 9_897, None));
    }

    #[test]
    fn time_counts_and_not_number() {
        let mut fair = Fair::default();
        for number in 0..1000 {
            push(&mut fair, format!("/slow/{number}"));
            push(&mut fair, format!("/fast/{number}"));
        }
        let mut fast = 0;
        for _ in 0..505 {
            let path = fair.pop().expect("a job");
            let is_fast = path.starts_with("/fast");
            fair.charge(path.as_bytes(), if is_fast { 10 } else { 1000 });
            fast += u32::from(is_fast);
        }
        assert!((495..=502).contains(&fast), "{fast}");
    }

    #[test]
    fn who_was_idle_has_saved_nothing() {
        let mut fair = Fair::default();
        push(&mut fair, "/late/1".to_owned());
        serve(&mut fair, 1);
        (0..2000).for_each(|number| push(&mut fair, format!("/busy/{number}")));
        serve(&mut fair, 1000);
        (0..500).for_each(|number| push(&mut fair, format!("/late/{number}")));
        let order = serve(&mut fair, 100);
        assert_eq!(order.iter().filter(|of| *of == "late").count(), 50, "{order:?}");
    }

    #[test]
    fn the_fullest_branch_loses_its_latest() {
        let mut fair = Fair::default();
        (0..9).for_each(|number| push(&mut fair, format!("/a/b/{number}")));
        (0..5).for_each(|number| push(&mut fair, format!("/c/{number}")));
        let lost: Vec<_> = (0..6).filter_map(|_| fair.pop_from_fullest()).collect();
        assert_eq!(lost[..4], ["/a/b/8", "/a/b/7", "/a/b/6", "/a/b/5"], "{lost:?}");
        assert_eq!(fair.len(), 8);
    }

    #[test]
    fn all_that_was_pushed_comes_out() {
        let mut fair = Fair::default();
        let paths = ["/", "/a", "/a/b", "", "/a/b/c/d/e/f/g/h/i/j/k", "a/b"];
        paths.iter().for_each(|path| push(&mut fair, (*path).to_owned()));
        let mut out: Vec<_> = std::iter::from_fn(|| fair.pop()).collect();
        out.sort_unstable();
        let mut expected = paths.to_vec();
        expected.sort_unstable();
        assert_eq!(out, expected);
    }
}
