//! What refers to a memcg, looked for in any memory: every list a circle, every tree without an end.

use std::{fs::File, path::PathBuf, sync::LazyLock};

use memcg_trace::{
    cause::{Pinned, explain},
    event::Key,
    kernel::{
        Kernel,
        cgroupfs::hierarchy::Controller,
        layout::{self, proof::Proven},
        pins::{LookOptions, Pins, ScanMemory},
    },
    record::Version,
};

use super::{btf, image::Image};

/// The structs and members that `explain` reads, each where its neighbours leave room: the offsets are small, so that a small
/// memory has them. The names are those of Linux 6.18.
const MEMBERS: &[u8] = include_bytes!("../corpus/btf/members");

static BTF: LazyLock<(File, PathBuf)> = LazyLock::new(|| btf::file(MEMBERS).expect("a file in memory"));

/// Addresses of the memcgs and of the root are in the first words; all words are the memory, too.
const MEMCGS: usize = 2;

pub fn run(input: &[u8]) -> bool {
    let word = |at: usize| Some(u64::from_ne_bytes(*input.as_chunks().0.get(at)?));
    let (Some(root), Some(flags)) = (word(0), word(1)) else { return false };
    let image = Image::of(input);
    let Ok(resolved) = layout::resolve(Some(&BTF.1)) else { return false };
    let serial = resolved.layout.layout.css_serial;
    let keys: Vec<Key> = (0..MEMCGS)
        .filter_map(|memcg| {
            let css = word(2 + memcg)?;
            Some(Key { css, serial: image.word(css.checked_add(serial.into())?)? })
        })
        .collect();
    let controller = Controller { version: Version::V2, mount: PathBuf::from("/sys/fs/cgroup") };
    let proven = Proven { memory_root: root, namespace_root: None };
    let Ok(kernel) = Kernel::proven(controller, resolved, Ok(proven), true) else { return false };
    let Ok(mut pins) = Pins::through(Box::new(image), &kernel, Some(&BTF.1)) else { return false };
    let scan_memory = if flags & 1 == 0 { ScanMemory::Never } else { ScanMemory::Auto };
    let Ok(look) = pins.look(&keys, &LookOptions { scan_memory, budget: None }) else { return false };
    assert_eq!(look.memcgs.len(), keys.len());
    let explanations = explain(&look);
    for explanation in &explanations {
        let _ = (explanation.unexplained(), Pinned::of(explanation));
    }
    look.memcgs.iter().any(|memcg| !memcg.references.is_empty())
}
