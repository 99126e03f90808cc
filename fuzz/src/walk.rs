//! The walk through the table of csses, by any layout, over any memory.

use std::{fs::File, io::Write as _};

use memcg_trace::kernel::{memory::kcore::Kcore, walk::Walk};
use memcg_trace_common::{ABSENT, WalkLayout};
use nix::sys::memfd::{MFdFlags, memfd_create};
use zerocopy::FromBytes as _;

/// Words of the layout: the input begins with 16 bits of each.
const OFFSETS: usize = size_of::<WalkLayout>() / size_of::<u32>();
/// The memory is there at 0 and in the kernel's half.
const BASES: [u64; 2] = [0, 0xffff_8880_0000_0000];
/// More than an input of a few thousand bytes can be made to hold.
const MEMCGS_MAX: u64 = 1 << 20;

pub fn run(input: &[u8]) -> bool {
    let Some((offsets, memory)) = input.split_at_checked(2 * OFFSETS) else { return false };
    let Some(kcore) = kcore(memory) else { return false };
    let Ok(mut walk) = Walk::through_kcore(kcore, &layout(offsets)) else { return false };
    let mut seen = 0;
    let walks = walk.walk(|walked| {
        assert!(walked.name.len() <= memory.len());
        seen += 1;
    });
    let Ok(walks) = walks else { return false };
    assert_eq!(walks.memcgs, seen);
    assert!(seen + walks.unreadable <= MEMCGS_MAX);
    seen > 0
}

/// Small offsets mostly, so that they lie in the memory; some are absent, some beyond anything.
fn layout(offsets: &[u8]) -> WalkLayout {
    let offset = |bytes: &[u8]| match u16::from_le_bytes([bytes[0], bytes[1]]) {
        u16::MAX => ABSENT,
        large @ 0xff00.. => 0xffff_0000 | u32::from(large),
        medium @ 0xf000.. => u32::from(medium) << 12,
        small => u32::from(small),
    };
    let words: Vec<u8> = offsets.chunks_exact(2).flat_map(|bytes| offset(bytes).to_ne_bytes()).collect();
    WalkLayout::read_from_bytes(&words).expect("as many words as a layout has")
}

/// An ELF core like /proc/kcore: the note with our own task, which is the start of the memory, and the memory.
fn kcore(memory: &[u8]) -> Option<Kcore> {
    const PT_NOTE: u32 = 4;
    const PT_LOAD: u32 = 1;
    const NT_TASKSTRUCT: u32 = 4;
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    let notes_at = HEADER + PROGRAM_HEADER * (1 + BASES.len() as u64);
    let mut note = Vec::new();
    for word in [8, memory.len() as u32, NT_TASKSTRUCT] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"CORE\0\0\0\0");
    note.extend(memory);
    note.resize(note.len().next_multiple_of(4), 0);
    let memory_at = notes_at + note.len() as u64;

    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([4, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0, HEADER, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0; 4]);
    for half in [HEADER as u16, PROGRAM_HEADER as u16, 1 + BASES.len() as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut program_header = |kind: u32, offset: u64, address: u64, length: u64| {
        file.extend(kind.to_le_bytes());
        file.extend(7_u32.to_le_bytes());
        for word in [offset, address, 0, length, length, 4] {
            file.extend(word.to_le_bytes());
        }
    };
    program_header(PT_NOTE, notes_at, 0, note.len() as u64);
    for base in BASES {
        program_header(PT_LOAD, memory_at, base, memory.len() as u64);
    }
    file.extend(note);
    file.extend(memory);

    let mut core = File::from(memfd_create(c"kcore", MFdFlags::MFD_CLOEXEC).ok()?);
    core.write_all(&file).ok()?;
    Kcore::of_file(core).ok()
}
