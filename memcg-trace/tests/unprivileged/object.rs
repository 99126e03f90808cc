//! The built hooks load on a verifier of the 4.14 class: no loops, no globals, no calls to functions, BPF instruction set
//! v1, helpers of that age, at most 4,096 instructions each. Read from the object file that the loader embeds.
#![expect(clippy::unwrap_used, reason = "an object that cannot be read fails the test")]

mod registers;

use std::collections::BTreeMap;

use memcg_trace::kernel::hooks::objects;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};

/// BPF_MAXINSNS of kernels before 5.2 (include/uapi/linux/bpf_common.h).
const INSTRUCTIONS_MAX: usize = 4096;

/// Helpers of 4.14, by number (include/uapi/linux/bpf.h), and the two that aya rewrites to them where they are missing.
const HELPERS: &[(i32, &str)] = &[
    (1, "map_lookup_elem"),
    (2, "map_update_elem"),
    (3, "map_delete_elem"),
    (4, "probe_read"),
    (5, "ktime_get_ns"),
    (8, "get_smp_processor_id"),
    (14, "get_current_pid_tgid"),
    (16, "get_current_comm"),
    (25, "perf_event_output"),
    (27, "get_stackid"),
    (45, "probe_read_str"),
    (113, "probe_read_kernel -> probe_read"),
    (115, "probe_read_kernel_str -> probe_read_str"),
];

const CLASS_LD: u8 = 0x00;
const CLASS_LDX: u8 = 0x01;
const CLASS_STX: u8 = 0x03;
const CLASS_JMP: u8 = 0x05;
const CLASS_JMP32: u8 = 0x06;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
const MODE_MEM: u8 = 0x60;

struct Instruction {
    opcode: u8,
    target: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

fn instructions(code: &[u8]) -> Vec<Instruction> {
    let decode = |raw: &[u8]| Instruction {
        opcode: raw[0],
        target: raw[1] & 0x0f,
        source: raw[1] >> 4,
        offset: i16::from_le_bytes([raw[2], raw[3]]),
        immediate: i32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]),
    };
    code.chunks_exact(8).map(decode).collect()
}

/// Every program of an object, by name.
fn programs(object: &[u8]) -> BTreeMap<String, Vec<Instruction>> {
    let file = object::File::parse(object).unwrap();
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let program = |symbol: object::Symbol<'_, '_>| {
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let start = symbol.address() as usize;
        let code = &section.data().unwrap()[start..start + symbol.size() as usize];
        (section.name().unwrap() != ".text").then(|| (symbol.name().unwrap().to_owned(), instructions(code)))
    };
    functions.filter_map(program).collect()
}

/// Reasons for a 4.14-class verifier, or an instruction set v1 interpreter, to reject a program.
fn objections(program: &[Instruction]) -> Vec<String> {
    let mut objections = Vec::new();
    if program.len() > INSTRUCTIONS_MAX {
        objections.push(format!("{} instructions", program.len()));
    }
    let mut index = 0;
    while let Some(instruction) = program.get(index) {
        let (class, operation) = (instruction.opcode & 0x07, instruction.opcode & 0xf0);
        let mut object = |what: String| objections.push(format!("instruction {index}: {what}"));
        match class {
            CLASS_JMP if operation == CALL && instruction.source != 0 => object("calls a function".into()),
            CLASS_JMP if operation == CALL => {
                let known = HELPERS.iter().any(|(number, _)| *number == instruction.immediate);
                (!known).then(|| object(format!("helper {}", instruction.immediate)));
            }
            CLASS_JMP if operation == EXIT => {}
            CLASS_JMP if operation > EXIT => object(format!("v2 jump {:#x}", instruction.opcode)),
            CLASS_JMP32 => object("v3 jump on 32 bits".into()),
            CLASS_LDX if instruction.opcode & 0xe0 != MODE_MEM => object("v4 sign-extending load".into()),
            CLASS_STX if instruction.opcode & 0xe0 != MODE_MEM => object("atomic operation".into()),
            _ => {}
        }
        // A 64-bit immediate takes two slots.
        index += if class == CLASS_LD && instruction.opcode == 0x18 { 2 } else { 1 };
    }
    objections.extend(loops(program).iter().map(|back| format!("instruction {}: loops", back.from)));
    objections
}

#[test]
fn hooks_load_on_a_4_14_class_verifier() {
    let programs = programs(objects::HOOKS);
    assert_eq!(
        programs.keys().collect::<Vec<_>>(),
        [
            "cgroup_css_alloc",
            "cgroup_css_free",
            "cgroup_css_offline_enter",
            "cgroup_css_online",
            "cgroup_css_removed",
            "cgroup_mkdir",
            "cgroup_mkdir_enter",
            "cgroup_mkdir_path",
            "cgroup_release",
            "cgroup_rmdir",
            "css_alloc",
            "css_alloc_enter",
            "css_free",
            "css_offline",
            "css_offline_enter",
            "css_online",
            "css_released",
            "memcg_free",
            "sys_enter_mkdir",
            "sys_enter_mkdirat",
        ]
    );
    for (name, program) in programs {
        assert_eq!(objections(&program), Vec::<String>::new(), "in {name}");
    }
}

#[test]
fn slab_hooks_load_on_a_4_14_class_verifier() {
    let programs = programs(objects::SLAB);
    assert_eq!(
        programs.keys().collect::<Vec<_>>(),
        [
            "cache_create",
            "cache_create_enter",
            "cache_destroy",
            "cache_new",
            "cache_release",
            "memcg_cache_create",
            "memcg_cache_create_enter",
            "memcg_offline",
            "module_free",
            "module_init",
            "module_init_enter",
        ]
    );
    for (name, program) in programs {
        assert_eq!(objections(&program), Vec::<String>::new(), "in {name}");
    }
}

#[test]
fn hooks_refer_to_maps_only() {
    refers_to_maps_only(objects::HOOKS);
    refers_to_maps_only(objects::SLAB);
}

fn refers_to_maps_only(object: &[u8]) {
    let file = object::File::parse(object).unwrap();
    for section in file.sections().filter(|section| !section.name().unwrap().starts_with(".debug")) {
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("odd relocation") };
            let target = file.symbol_by_index(symbol).unwrap();
            let home = file.section_by_index(target.section_index().unwrap()).unwrap();
            assert!(
                [Ok("maps"), Ok(".maps")].contains(&home.name()),
                "{} + {offset:#x} refers to {:?} in {:?}: a global or a function",
                section.name().unwrap(),
                target.name(),
                home.name(),
            );
        }
    }
}

#[test]
fn objects_declare_their_licence() {
    for object in [objects::HOOKS, objects::HOOKS_LOG, objects::WALK, objects::PINS, objects::SLAB] {
        let file = object::File::parse(object).unwrap();
        assert_eq!(file.section_by_name("license").unwrap().data().unwrap(), b"Dual MIT/GPL\0");
    }
}

/// Tests the check itself: programs that may need a newer kernel must be detected.
#[test]
fn newer_programs_are_objected_to() {
    let programs = programs(objects::WALK);
    for name in ["own_cgroup", "walk"] {
        assert_ne!(objections(&programs[name]), Vec::<String>::new(), "in {name}");
    }
}

/// An edge that closes a loop.
struct Back {
    from: usize,
    head: usize,
    /// `from` is not a jump: it falls through to the loop's head.
    plain: bool,
}

/// The loops of a program. A backward jump alone is not a loop: code may be laid out in any order.
fn loops(program: &[Instruction]) -> Vec<Back> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        None,
        Open,
        Done,
    }
    let mut found = Vec::new();
    let mut visits = vec![Visit::None; program.len()];
    // Instructions on the path from the first one, each with the number of successors followed.
    let mut way = vec![(0, 0)];
    while let Some((index, followed)) = way.pop() {
        visits[index] = Visit::Open;
        let (successors, plain) = successors(program, index);
        let Some(&next) = successors.get(followed) else {
            visits[index] = Visit::Done;
            continue;
        };
        way.push((index, followed + 1));
        match visits[next] {
            Visit::None => way.push((next, 0)),
            Visit::Open => found.push(Back { from: index, head: next, plain }),
            Visit::Done => {}
        }
    }
    found
}

/// Successors of an instruction, and whether it is not a jump.
fn successors(program: &[Instruction], index: usize) -> (Vec<usize>, bool) {
    let instruction = &program[index];
    let target = || index.wrapping_add_signed(isize::from(instruction.offset) + 1);
    let (class, operation) = (instruction.opcode & 0x07, instruction.opcode & 0xf0);
    match (class, operation) {
        (CLASS_JMP, EXIT) => (vec![], false),
        (CLASS_JMP, CALL) => (vec![index + 1], true),
        (CLASS_JMP, 0) => (vec![target()], false),
        (CLASS_JMP | CLASS_JMP32, _) => (vec![index + 1, target()], false),
        _ if instruction.opcode == 0x18 => (vec![index + 2], true),
        _ => (vec![index + 1], true),
    }
}

/// Plain instructions that fall through to the head of a loop that they are in: (instruction, head). check_cfg of 5.10
/// and 6.1 rejects these as "back-edge", although loops are allowed: only a jump may go back.
fn runs_into_loop_heads(program: &[Instruction]) -> Vec<(usize, usize)> {
    loops(program).iter().filter(|back| back.plain).map(|back| (back.from, back.head)).collect()
}

#[test]
fn only_jumps_go_back() {
    for (name, program) in programs(objects::WALK).into_iter().chain(programs(objects::PINS)) {
        assert_eq!(runs_into_loop_heads(&program), [], "in {name}");
    }
}

/// The check itself: `goto 2; r0 = r0; r0 = r0; if r0 == 0 goto 1; exit`, entered in the middle, and from its head.
#[test]
fn loops_are_told_apart() {
    let instruction = |opcode, offset| Instruction { opcode, target: 0, source: 0, offset, immediate: 0 };
    let [jump, plain, branch, exit] = [(0x05, 1), (0xbf, 0), (0x15, -3), (0x95, 0)];
    let program = |parts: &[(u8, i16)]| -> Vec<_> {
        parts.iter().map(|&(opcode, offset)| instruction(opcode, offset)).collect()
    };
    assert_eq!(runs_into_loop_heads(&program(&[jump, plain, plain, branch, exit])), [(1, 2)]);
    assert_eq!(runs_into_loop_heads(&program(&[plain, plain, plain, branch, exit])), []);
}
