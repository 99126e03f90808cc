//! Tells the loader where the eBPF objects are that it embeds, and what `--version` says of them.

use std::env;
use std::fs;
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

/// The commit that this is built from. `cargo xtask dist` sets it; asking git would rebuild everything after each commit.
const COMMIT: &str = "MEMCG_TRACE_COMMIT";

fn main() -> ExitCode {
    println!("cargo:rerun-if-env-changed=MEMCG_TRACE_EBPF_DIR");
    println!("cargo:rerun-if-env-changed={COMMIT}");
    println!("cargo:rerun-if-changed=build.rs");
    let dir = object_dir();
    let mut hash = Fnv1a::default();
    for (variable, file) in OBJECTS {
        let object = dir.as_deref().map(|dir| dir.join(file)).filter(|object| object.is_file());
        let Some(object) = object else {
            println!("cargo:error=the eBPF object {file} is missing: run \"cargo xtask build\"");
            return ExitCode::FAILURE;
        };
        println!("cargo:rerun-if-changed={}", object.display());
        println!("cargo:rustc-env={variable}={}", object.display());
        match fs::read(&object) {
            Ok(content) => hash.update(&content),
            Err(error) => {
                println!("cargo:error=cannot read {}: {error}", object.display());
                return ExitCode::FAILURE;
            }
        }
    }
    println!("cargo:rustc-env=MEMCG_TRACE_OBJECTS={:016x}", hash.0);
    println!("cargo:rustc-env={COMMIT}={}", env::var(COMMIT).as_deref().unwrap_or("not recorded"));
    ExitCode::SUCCESS
}

/// A directory of prebuilt objects, or where xtask leaves them: `ebpf/ARCHITECTURE` in the target directory, which is above
/// `OUT_DIR`.
fn object_dir() -> Option<PathBuf> {
    if let Some(dir) = env::var_os("MEMCG_TRACE_EBPF_DIR") {
        return std::path::absolute(dir).ok();
    }
    let (out, arch) = (env::var_os("OUT_DIR")?, env::var_os("CARGO_CFG_TARGET_ARCH")?);
    let objects = Path::new("ebpf").join(arch);
    Path::new(&out).ancestors().map(|dir| dir.join(&objects)).find(|dir| dir.join(OBJECTS[0].1).is_file())
}

/// The hash FNV-1a (draft-eastlake-fnv): it tells objects apart, and proves nothing.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    fn update(&mut self, content: &[u8]) {
        for byte in content {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
