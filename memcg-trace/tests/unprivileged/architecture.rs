//! The rules of ARCHITECTURE.md that a program can check, checked on the source: imports go down from floor to floor, no file
//! imports itself by way of others, none is too long, and a type's name has one meaning.

mod imports;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use self::imports::{Imports, Module, rust_files};
use syn::Item;

/// From the ground up. A module imports what is below it, and nothing beside it.
const FLOORS: &[&[&str]] = &[
    &["units", "event", "deceptive", "streams"],
    // Below the records: what the node told of a container is one, what pins a memcg another.
    &["attribution", "cause"],
    &["record"],
    &["tracker", "slab"],
    &["diagnosis", "verdict"],
    &["kernel"],
    &["source", "scenarios"],
    &["session"],
    &["report"],
    &["exit", "screen"],
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

/// Source files of these crates of the workspace.
fn sources(crates: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    crates.iter().flat_map(|name| rust_files(&root.join(name).join("src"))).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Past this, look for the seam.
const LINES_MAX: usize = 400;

#[test]
fn no_file_is_too_long() {
    let files = sources(&["memcg-trace", "memcg-trace-common", "memcg-trace-ebpf", "xtask"]);
    let long: Vec<_> = files.iter().filter(|file| read(file).lines().count() > LINES_MAX).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
}

/// Names of types with more than one meaning, and why they may have them.
const EXCUSED: &[(&str, &str)] = &[("Args", "of a command, and never seen outside of its module")];

#[test]
fn a_name_has_one_meaning() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in sources(&["memcg-trace", "memcg-trace-common"]) {
        let file =
            syn::parse_file(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for name in file.items.iter().filter_map(type_name) {
            places.entry(name).or_default().push(path.clone());
        }
    }
    places.retain(|_, places| places.len() > 1);
    let excused = |name: &str| EXCUSED.iter().any(|(excused, _)| *excused == name);
    let several: Vec<_> = places.iter().filter(|(name, _)| !excused(name)).collect();
    assert!(several.is_empty(), "give each its noun: {several:#?}");
    let idle: Vec<_> = EXCUSED.iter().filter(|(name, _)| !places.contains_key(*name)).collect();
    assert!(idle.is_empty(), "these need no excuse: {idle:?}");
}

/// What a file defines, not in functions nor for tests.
fn type_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Struct(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
