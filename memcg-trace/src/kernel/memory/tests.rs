//! Pointers are followed to their end, or to a bound: over memory that is a file of ours.

use std::{fs::File, io::Write as _};

use memcg_trace_common::ABSENT;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{ByKcore, Lists, Members, Memory};
use crate::kernel::memory::kcore::Kcore;

const BASE: u64 = 0xffff_8880_0000_0000;
const LENGTH: usize = 1 << 16;

/// Kernel memory in which some words are set, everything else is 0.
fn memory(words: &[(u64, u64)]) -> Box<dyn Memory> {
    let mut bytes = vec![0; LENGTH];
    for (at, word) in words {
        bytes[*at as usize..*at as usize + 8].copy_from_slice(&word.to_ne_bytes());
    }
    let mut file = File::from(memfd_create(c"memory", MFdFlags::empty()).expect("a file in memory"));
    file.write_all(&bytes).expect("room");
    Box::new(ByKcore::new(Kcore::of(file, BASE..BASE + LENGTH as u64)))
}

/// A list at 0 whose nodes are at 8 in entries at these offsets; the last node leads to `end`.
fn list(entries: &[u64], end: u64) -> Vec<(u64, u64)> {
    let nodes = entries.iter().map(|entry| BASE + entry + 8).chain([end]);
    [0].into_iter().chain(entries.iter().map(|entry| entry + 8)).zip(nodes).collect()
}

#[test]
fn lists_end_where_they_began_or_are_incomplete() {
    const POISON: u64 = 0xdead_0000_0000_0100;
    let lists = Lists { node: 8, limit: 1000 };
    /// Words in memory, the entries that are read of them, and whether that is the whole list.
    type Row<'a> = (&'a str, Vec<(u64, u64)>, &'a [u64], bool);
    let table: &[Row<'_>] = &[
        ("empty", list(&[], BASE), &[], true),
        ("no list", vec![], &[], false),
        ("three", list(&[256, 512, 1024], BASE), &[256, 512, 1024], true),
        ("poisoned", list(&[256, 512], POISON), &[256, 512], false),
        ("ends in itself", list(&[256, 512], BASE + 512 + 8), &[256, 512], false),
        ("a ring without the head", list(&[256, 512, 1024], BASE + 256 + 8), &[256, 512, 1024], false),
        ("leads to NULL", list(&[256], 0), &[256], false),
    ];
    for (what, words, entries, complete) in table {
        let listed = memory(words).list(BASE, lists).expect("memory");
        let expected: Vec<u64> = entries.iter().map(|entry| BASE + entry).collect();
        assert_eq!((listed.entries, listed.complete), (expected, *complete), "{what}");
    }
}

#[test]
fn lists_and_chains_end_at_their_limit() {
    let all: Vec<u64> = (1..2000).map(|entry| entry * 16).collect();
    let limited = memory(&list(&all, BASE)).list(BASE, Lists { node: 8, limit: 1000 }).expect("memory");
    assert_eq!((limited.entries.len(), limited.complete), (1000, false));
    let chain: Vec<(u64, u64)> = (0..100).map(|link| (link * 16, BASE + (link + 1) * 16)).collect();
    let mut memory = memory(&[&chain[..], &[(1600, BASE + 32)]].concat());
    let chained = memory.chain(BASE, 0, 1000).expect("memory");
    assert_eq!((chained.entries.len(), chained.complete), (100, false));
    assert_eq!(memory.chain(BASE, 0, 10).expect("memory").entries.len(), 10);
}

#[test]
fn trees_have_all_their_nodes_and_no_more_than_the_limit() {
    // rb_right at 8, rb_left at 16.
    let tree = [(8, BASE + 0x100), (16, BASE + 0x200), (0x200 + 16, BASE + 0x300)];
    let nodes = memory(&tree).trees(&[0, BASE], 1000).expect("memory");
    let mut offsets: Vec<u64> = nodes.iter().map(|(_, node)| node - BASE).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 0x100, 0x200, 0x300]);
    assert!(nodes.iter().all(|(tree, _)| *tree == 1));
    let loops = [(8, BASE), (16, BASE)];
    assert_eq!(memory(&loops).trees(&[BASE], 1000).expect("memory").len(), 1000);
}

#[test]
fn rows_have_what_was_readable() {
    let words = [(0, 1), (248, 2), (256, 3), (1000, 4)];
    let mut memory = memory(&words);
    let members = Members::of(&[0, 248, 256, ABSENT]).with(1000, 8);
    let rows = memory.rows(&[BASE, 0, BASE + LENGTH as u64 - 16], &members).expect("memory");
    let row = |row: usize| [0, 248, 256, 1000, 16, ABSENT].map(|offset| rows.get::<u64>(row, offset));
    // The word at 16 lies in what was read with its neighbours.
    assert_eq!(row(0), [Some(1), Some(2), Some(3), Some(4), Some(0), None]);
    assert_eq!(row(1), [None; 6]);
    assert_eq!(row(2), [None; 6]);
    assert_eq!(row(3), [None; 6]);
}

#[test]
fn strings_and_arrays() {
    let text = |text: [u8; 8]| u64::from_ne_bytes(text);
    let words: Vec<(u64, u64)> =
        [(0, text(*b"memory\0x"))].into_iter().chain((64..128).map(|word| (word * 8, word))).collect();
    let mut memory = memory(&words);
    let strings = memory.strings(&[BASE, 0, BASE + 7]).expect("memory");
    assert_eq!(strings, [Some(b"memory"[..].into()), None, Some(b"x"[..].into())]);
    let array = memory.array(BASE + 64 * 8, 64).expect("memory");
    assert_eq!(array, (64..128).map(Some).collect::<Vec<_>>());
    let end = memory.array(BASE + LENGTH as u64 - 256, 64).expect("memory");
    assert_eq!((end[0], end[31], end[32], end.len()), (Some(0), Some(0), None, 64));
}
