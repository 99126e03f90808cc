//! Kprobes find arguments and return values in the registers of the architecture that the object was built for.

use std::{collections::BTreeSet, fs, path::Path};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

use super::{CALL, CLASS_JMP, CLASS_JMP32, CLASS_LDX, CLASS_STX, Instruction, instructions, successors};

const CLASS_ST: u8 = 0x02;
/// `dst = src`, `dst = *(src + offset)`, `*(dst + offset) = src`; 64 bits.
const MOVE: u8 = 0xbf;
const LOAD: u8 = 0x79;
const STORE: u8 = 0x7b;
/// The register that points to the stack.
const STACK: u8 = 10;
/// The context of a program, which is in register 1 at the start: `struct pt_regs`.
const CONTEXT: u8 = 1;

/// Offsets in what a kprobe gets as `struct pt_regs`.
struct Registers {
    /// As the directory of the objects is called.
    arch: &'static str,
    /// Of the first six arguments of a function.
    arguments: [i16; 6],
    returned: i16,
}

const REGISTERS: &[Registers] = &[
    // rdi, rsi, rdx, rcx, r8, r9; rax (arch/x86/include/asm/ptrace.h)
    Registers { arch: "x86_64", arguments: [0x70, 0x68, 0x60, 0x58, 0x48, 0x40], returned: 0x50 },
    // x0 to x5; x0 (struct user_pt_regs, arch/arm64/include/uapi/asm/ptrace.h)
    Registers { arch: "aarch64", arguments: [0, 8, 16, 24, 32, 40], returned: 0 },
];

/// Where `cargo xtask build` leaves the objects of an architecture: beside those that are embedded here.
fn object(arch: &str, file: &str) -> Vec<u8> {
    let embedded = Path::new(env!("MEMCG_TRACE_HOOKS"));
    let sets = embedded.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    let path = sets.join(arch).join(file);
    fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: run \"cargo xtask build --target {arch}-unknown-linux-gnu\", or \"cargo xtask test --filter unit\"",
            path.display()
        )
    })
}

/// Where a program keeps something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Register(u8),
    /// Of the stack.
    Slot(i16),
}

/// The offsets at which a program reads its context. A place has the context if it has it whichever way the program came.
fn context_reads(program: &[Instruction]) -> BTreeSet<i16> {
    let mut holders: Vec<Option<BTreeSet<Place>>> = vec![None; program.len()];
    let mut way = vec![(0, BTreeSet::from([Place::Register(CONTEXT)]))];
    while let Some((index, come)) = way.pop() {
        let known = holders[index].as_ref();
        let here = known.map_or_else(|| come.clone(), |known| known & &come);
        if known != Some(&here) {
            let next = after(&program[index], here.clone());
            holders[index] = Some(here);
            way.extend(successors(program, index).0.into_iter().map(|index| (index, next.clone())));
        }
    }
    let reads = |(instruction, holders): (&Instruction, &Option<BTreeSet<Place>>)| {
        let from_context = holders.as_ref()?.contains(&Place::Register(instruction.source));
        (instruction.opcode & 0x07 == CLASS_LDX && from_context).then_some(instruction.offset)
    };
    program.iter().zip(&holders).filter_map(reads).collect()
}

/// The places that have the context after an instruction, by those before it.
fn after(instruction: &Instruction, mut holders: BTreeSet<Place>) -> BTreeSet<Place> {
    let Instruction { opcode, target, source, offset, .. } = *instruction;
    let (from, to) = match opcode {
        LOAD if source == STACK => (Place::Slot(offset), Place::Register(target)),
        STORE if target == STACK => (Place::Register(source), Place::Slot(offset)),
        _ => (Place::Register(source), Place::Register(target)),
    };
    match opcode & 0x07 {
        _ if is_copy(opcode, source, target) && holders.contains(&from) => drop(holders.insert(to)),
        // A call leaves its result in register 0, and nothing in those of its arguments.
        CLASS_JMP if opcode & 0xf0 == CALL => {
            holders.retain(|place| !matches!(place, Place::Register(0..=5)));
        }
        CLASS_STX | CLASS_ST if target == STACK => drop(holders.remove(&Place::Slot(offset))),
        CLASS_JMP | CLASS_JMP32 | CLASS_STX | CLASS_ST => {}
        _ => drop(holders.remove(&to)),
    }
    holders
}

/// Whether it copies from register to register, or between a register and the stack.
fn is_copy(opcode: u8, source: u8, target: u8) -> bool {
    opcode == MOVE || opcode == LOAD && source == STACK || opcode == STORE && target == STACK
}

/// The programs in sections of that kind: name, and the offsets at which it reads its context.
fn reads_of(object: &[u8], kind: &str) -> Vec<(String, BTreeSet<i16>)> {
    let file = object::File::parse(object).unwrap();
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let program = |symbol: object::Symbol<'_, '_>| {
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let name = section.name().unwrap();
        let start = symbol.address() as usize;
        let code = &section.data().unwrap()[start..start + symbol.size() as usize];
        (name.split('/').next() == Some(kind))
            .then(|| (symbol.name().unwrap().to_owned(), context_reads(&instructions(code))))
    };
    functions.filter_map(program).collect()
}

#[test]
fn kprobes_read_the_registers_of_their_architecture() {
    for Registers { arch, arguments, returned } in REGISTERS {
        for file in ["hooks.o", "hooks-log.o", "slab.o"] {
            let object = object(arch, file);
            let entries = reads_of(&object, "kprobe");
            assert!(entries.iter().any(|(_, reads)| !reads.is_empty()), "{arch}/{file}: {entries:?}");
            for (name, reads) in entries {
                let odd: Vec<_> = reads.iter().filter(|offset| !arguments.contains(offset)).collect();
                assert!(odd.is_empty(), "{arch}/{file}: {name} reads its context at {odd:?}");
            }
            let returns = reads_of(&object, "kretprobe");
            assert!(returns.iter().any(|(_, reads)| !reads.is_empty()), "{arch}/{file}: {returns:?}");
            for (name, reads) in returns {
                assert!(reads.iter().all(|offset| offset == returned), "{arch}/{file}: {name} at {reads:?}");
            }
        }
    }
}

/// What is embedded here is of the architecture that it runs on, whoever built it (`MEMCG_TRACE_EBPF_DIR`).
#[test]
fn embedded_objects_are_of_this_architecture() {
    let own = REGISTERS.iter().find(|registers| registers.arch == std::env::consts::ARCH).unwrap();
    for object in [super::objects::HOOKS, super::objects::HOOKS_LOG, super::objects::SLAB] {
        let firsts = reads_of(object, "kprobe").into_iter().flat_map(|(_, reads)| reads);
        assert!(firsts.into_iter().any(|offset| offset == own.arguments[0]));
        let returns = reads_of(object, "kretprobe").into_iter().flat_map(|(_, reads)| reads);
        assert!(returns.into_iter().all(|offset| offset == own.returned));
    }
}

/// The check itself: `r6 = r1; r2 = *(r6 + 112); *(r10 - 8) = r6; call; r3 = *(r1 + 8); r6 = 0; r3 = *(r6 + 16);
/// r1 = *(r10 - 8); r2 = *(r1 + 80); exit`.
#[test]
fn only_reads_of_the_context_count() {
    let instruction =
        |opcode, target, source, offset| Instruction { opcode, target, source, offset, immediate: 0 };
    let program = [
        instruction(MOVE, 6, 1, 0),
        instruction(LOAD, 2, 6, 112),
        instruction(STORE, STACK, 6, -8),
        instruction(0x85, 0, 0, 0),
        instruction(LOAD, 3, 1, 8),
        instruction(0xb7, 6, 0, 0),
        instruction(LOAD, 3, 6, 16),
        instruction(LOAD, 1, STACK, -8),
        instruction(LOAD, 2, 1, 80),
        instruction(0x95, 0, 0, 0),
    ];
    assert_eq!(context_reads(&program), BTreeSet::from([80, 112]));
}
