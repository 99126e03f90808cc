//! The targets of fuzz/, for some ten seconds each and without coverage: the inputs of fuzz/corpus, among them those that once failed, and
//! damaged ones that are the same in every run. `cargo xtask fuzz` is the long way.

mod damage;
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::{fs, path::Path};

use self::damage::Damage;

/// All inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let input = |path: &std::path::PathBuf| {
        let content = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.display().to_string(), content)
    };
    paths.iter().map(input).collect()
}

fn run(name: &str) {
    let target = targets::TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("no target {name}"));
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "no seeds");
    let mut leads_somewhere = false;
    for (path, input) in &corpus {
        let _told = Told { path, damage: 0 };
        leads_somewhere |= (target.run)(input);
    }
    assert!(leads_somewhere, "all inputs are refused: they test little");
    let mut damage = Damage::default();
    for number in 1..=target.damaged {
        let (path, input) = &corpus[number % corpus.len()];
        let (_, other) = &corpus[damage.below(corpus.len())];
        let mut input = damage.of(input, other);
        input.truncate(target.length_max);
        let _told = Told { path, damage: number };
        (target.run)(&input);
    }
}

/// Tells which input it was that failed.
struct Told<'a> {
    path: &'a str,
    /// 0: none.
    damage: usize,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}, damage {}", self.path, self.damage);
        }
    }
}

#[test]
fn recording() {
    run("recording");
}

#[test]
fn btf() {
    run("btf");
}

#[test]
fn paths() {
    run("paths");
}

#[test]
fn answers() {
    run("answers");
}

#[test]
fn grpc() {
    run("grpc");
}

#[test]
fn walk() {
    run("walk");
}

#[test]
fn pins() {
    run("pins");
}

#[test]
fn each_target_has_its_test_and_its_seeds() {
    let source = include_str!("fuzz.rs");
    for target in targets::TARGETS {
        assert!(source.contains(&format!("run(\"{}\");", target.name)), "{}", target.name);
    }
}
