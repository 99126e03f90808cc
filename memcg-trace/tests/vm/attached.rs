//! What is loaded into the kernel and attached to it, whoever did that.

use std::fs;

use aya::programs::{loaded_links, loaded_programs};

/// Programs and links by number, and kprobes as the kernel lists them.
#[derive(Debug, PartialEq, Eq)]
pub struct Attached {
    programs: usize,
    links: usize,
    kprobes: Vec<String>,
}

impl Attached {
    pub fn now() -> Self {
        let list = fs::read_to_string("/sys/kernel/debug/kprobes/list").expect("the list of kprobes");
        let mut kprobes: Vec<_> = list.lines().map(str::to_owned).collect();
        kprobes.sort();
        Self { programs: loaded_programs().count(), links: loaded_links().count(), kprobes }
    }
}
