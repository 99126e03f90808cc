//! Notify groups and perf events.

use super::offsets;

offsets! {
    GroupLayout of "fsnotify_group" {
        memcg: "memcg",
    }
}

offsets! {
    PerfEventLayout of "perf_event" {
        /// The task that it counts; NULL: it counts a CPU.
        task: "hw.target",
    }
}
