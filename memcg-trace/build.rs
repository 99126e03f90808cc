//! Tells the loader where the eBPF objects are that it embeds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Environment variable for `include_bytes_aligned!`, file that `cargo xtask build` leaves.
const OBJECTS: &[(&str, &str)] = &[
    ("MEMCG_TRACE_HOOKS", "hooks.o"),
    ("MEMCG_TRACE_HOOKS_LOG", "hooks-log.o"),
    ("MEMCG_TRACE_WALK", "walk.o"),
    ("MEMCG_TRACE_PINS", "pins.o"),
    ("MEMCG_TRACE_SLAB", "slab.o"),
];

fn main() -> ExitCode {
    println!("cargo:rerun-if-env-changed=MEMCG_TRACE_EBPF_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    let dir = object_dir();
    for (variable, file) in OBJECTS {
        let object = dir.as_deref().map(|dir| dir.join(file)).filter(|object| object.is_file());
        let Some(object) = object else {
            println!("cargo:error=the eBPF object {file} is missing: run \"cargo xtask build\"");
            return ExitCode::FAILURE;
        };
        println!("cargo:rerun-if-changed={}", object.display());
        println!("cargo:rustc-env={variable}={}", object.display());
    }
    ExitCode::SUCCESS
}

/// A directory of prebuilt objects, or where xtask leaves them: `ebpf` in the target directory, which is above `OUT_DIR`.
fn object_dir() -> Option<PathBuf> {
    if let Some(dir) = env::var_os("MEMCG_TRACE_EBPF_DIR") {
        return std::path::absolute(dir).ok();
    }
    let out = env::var_os("OUT_DIR")?;
    Path::new(&out).ancestors().map(|dir| dir.join("ebpf")).find(|dir| dir.join(OBJECTS[0].1).is_file())
}
