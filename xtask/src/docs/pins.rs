//! The cases that docs/PINS.md shows: what explain says of each kind of pin, on a kernel that has most of them and on an old one.

use super::case::{Case, vm};
use crate::vm::Cgroup;

/// Text before the cases.
pub const INTRODUCTION: &str = include_str!("pins.txt");

/// The scenarios of verify are what pins; explain runs while it waits for their memcgs.
const SCENARIOS: &str = "
memcg-trace verify --cgroups 1 --settle 10m >/dev/null 2>/tmp/verify &
verify=$!
until grep -q 'after removal' /tmp/verify || ! kill -0 $verify; do sleep 1; done
sleep 10
memcg-trace explain --all
code=$?
kill $verify
wait $verify
exit $code";

pub const CASES: &[Case] = &[
    vm("", "Linux 6.12, cgroup v2", ("6.12", Cgroup::V2, ""), SCENARIOS),
    vm("", "Linux 5.10, cgroup v1", ("5.10", Cgroup::V1, ""), SCENARIOS),
];
