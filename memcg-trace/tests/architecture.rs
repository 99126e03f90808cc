//! The rules of ARCHITECTURE.md that a program can check, checked on the source: imports go down from floor to floor, no file
//! imports itself by way of others, and none is too long.

#[path = "architecture/imports.rs"]
mod imports;

use std::{collections::BTreeMap, path::Path};

use imports::{Imports, Module};

/// From the ground up. A module imports what is below it, and nothing beside it.
const FLOORS: &[&[&str]] = &[
    &["units", "event", "deceptive"],
    // Below the records: what the node told of a container is one, what pins a memcg another.
    &["attribution", "cause"],
    &["record"],
    &["tracker", "slab"],
    &["diagnosis", "verdict"],
    &["kernel"],
    &["source", "scenarios"],
    &["session"],
    &["report"],
    &["exit"],
    &["commands"],
];

fn imports() -> Imports {
    Imports::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn floor(module: &Module) -> usize {
    let top = &module.path()[0];
    let floor = FLOORS.iter().position(|floor| floor.contains(&top.as_str()));
    floor.unwrap_or_else(|| panic!("{top} has no floor: give it one in FLOORS"))
}

#[test]
fn no_module_imports_upwards() {
    let upwards: Vec<String> = imports()
        .edges()
        .filter(|(from, to)| from.path()[0] != to.path()[0] && floor(to) >= floor(from))
        .map(|(from, to)| format!("{from} imports {to}"))
        .collect();
    assert!(upwards.is_empty(), "these go up, or stay on their floor:\n{}", upwards.join("\n"));
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let imports = imports();
    let mut below: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    for (from, to) in imports.edges() {
        below.entry(from).or_default().push(to);
    }
    let mut done = Vec::new();
    let circles = below.keys().filter_map(|module| circle(module, &below, &mut Vec::new(), &mut done));
    let names = |circle: Vec<&Module>| circle.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
    let circles: Vec<String> = circles.map(names).collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

/// The first way back to a module on `path` that is found; `done`: from these there is none.
fn circle<'a>(
    module: &'a Module,
    below: &BTreeMap<&'a Module, Vec<&'a Module>>,
    path: &mut Vec<&'a Module>,
    done: &mut Vec<&'a Module>,
) -> Option<Vec<&'a Module>> {
    if let Some(start) = path.iter().position(|seen| *seen == module) {
        return Some([&path[start..], &[module]].concat());
    }
    if done.contains(&module) {
        return None;
    }
    path.push(module);
    let found = below.get(module).into_iter().flatten().find_map(|next| circle(next, below, path, done));
    path.pop();
    done.push(module);
    found
}

#[test]
fn imports_are_seen() {
    let imports = imports();
    let imports = |from: &str, to: &str| {
        imports.edges().any(|(a, b)| (a.to_string(), b.to_string()) == (from.to_owned(), to.to_owned()))
    };
    assert!(imports("tracker::life", "event::identity"), "by a face that exports it");
    assert!(imports("report::view::doctor", "diagnosis::node"), "in braces");
    assert!(imports("slab", "record"), "a path in a type");
    assert!(!imports("tracker::life", "tracker"), "a room and its own face");
}

/// Past this, look for the seam.
const LINES_MAX: usize = 400;

#[test]
fn no_file_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = ["memcg-trace", "memcg-trace-common", "memcg-trace-ebpf", "xtask"];
    let files = crates.iter().flat_map(|name| imports::rust_files(&root.join(name).join("src")));
    let lines = |file: &Path| std::fs::read_to_string(file).expect("a source file").lines().count();
    let long: Vec<_> = files.filter(|file| lines(file) > LINES_MAX).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
}
