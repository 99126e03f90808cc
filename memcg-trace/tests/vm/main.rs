//! memcg-trace on the kernels of the matrix, each in a VM of its own: `cargo xtask test` boots them.

#[path = "../everywhere/mod.rs"]
mod everywhere;
#[path = "../oracle/mod.rs"]
mod oracle;
#[path = "../support/mod.rs"]
mod support;

mod attached;
mod blind;
mod charges;
mod cpus;
mod disabled;
mod doctor;
mod exhaustion;
mod expectations;
mod figures;
mod hugetlb;
mod kprobes;
mod matrix;
mod merged;
mod pod;
mod slabs;
mod soak;
mod swaps;
mod systemd;
mod verify;
mod walks;

/// The VM for one test; fails elsewhere, before anything is upset.
fn vm() -> support::Machine {
    expectations::kernel();
    support::machine()
}
