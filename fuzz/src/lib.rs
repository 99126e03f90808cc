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
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "recording", run: recording::run, length_max: 16 << 10 },
    Target { name: "btf", run: btf::run, length_max: 16 << 10 },
    Target { name: "paths", run: paths::run, length_max: 4096 },
    Target { name: "answers", run: answers::run, length_max: 4096 },
    Target { name: "grpc", run: grpc::run, length_max: 4096 },
    Target { name: "walk", run: walk::run, length_max: 4096 },
    Target { name: "pins", run: pins::run, length_max: 8192 },
];
