//! What reads bytes of others, each as a function of the bytes: it must come back, in time and memory in proportion to them.
//!
//! `cargo xtask fuzz` runs them under libFuzzer, with coverage: each is a program of its own, for libFuzzer looks at all of a program's
//! edges after each input. `memcg-trace/tests/unprivileged/fuzz.rs` compiles the same files, and runs the
//! inputs in fuzz/corpus, and damaged ones made of them, in every test run.

pub mod answers;
pub mod btf;
pub mod grpc;
mod image;
pub mod paths;
pub mod pins;
pub mod recording;
pub mod walk;

/// One of them.
pub struct Target {
    /// The directory below fuzz/corpus, and the argument of `cargo xtask fuzz`.
    pub name: &'static str,
    /// Says whether the input led anywhere, as most seeds do.
    pub run: fn(&[u8]) -> bool,
    /// Longest input that libFuzzer tries.
    pub length_max: usize,
    /// Damaged inputs in a run of the tests: what takes some ten seconds.
    pub damaged: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "recording", run: recording::run, length_max: 16 << 10, damaged: 20_000 },
    Target { name: "btf", run: btf::run, length_max: 16 << 10, damaged: 60_000 },
    Target { name: "paths", run: paths::run, length_max: 4096, damaged: 200_000 },
    Target { name: "answers", run: answers::run, length_max: 4096, damaged: 500_000 },
    Target { name: "grpc", run: grpc::run, length_max: 4096, damaged: 50_000 },
    Target { name: "walk", run: walk::run, length_max: 4096, damaged: 60_000 },
    Target { name: "pins", run: pins::run, length_max: 8192, damaged: 6_000 },
];
