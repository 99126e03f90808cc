//! Which file of a crate imports which, by its `use` items and by paths that begin with `crate`, `self` or `super`. What is
//! compiled for tests alone is left out, and so is what a file takes from the face of its own folder (`mod.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, File, Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

/// A module that has a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Module(Vec<String>);

impl Module {
    /// From the crate's root, which has an empty one.
    pub fn path(&self) -> &[String] {
        &self.0
    }

    fn is_in(&self, folder: &Self) -> bool {
        self.0.starts_with(&folder.0)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("::"))
    }
}

/// All imports of a crate.
pub struct Imports(BTreeSet<(Module, Module)>);

impl Imports {
    /// Reads every file below `src`.
    pub fn of(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        for path in rust_files(src) {
            let text = fs::read_to_string(&path).expect("a source file");
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.insert(module_of(path.strip_prefix(src).expect("below src")), file);
        }
        let exports = files.iter().flat_map(|(module, file)| exports(module, file)).collect();
        let edges = files.iter().filter(|(module, _)| !module.0.is_empty()).flat_map(|(module, file)| {
            let mut paths = Paths { module, found: BTreeSet::new() };
            paths.visit_file(file);
            let found = paths.found.into_iter().filter_map(|path| resolve(path, &files, &exports));
            found.map(|to| (module.clone(), to)).collect::<Vec<_>>()
        });
        Self(edges.filter(|(from, to)| !from.is_in(to)).collect())
    }

    /// From whom, and whom.
    pub fn edges(&self) -> impl Iterator<Item = (&Module, &Module)> {
        self.0.iter().map(|(from, to)| (from, to))
    }
}

pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// `a/mod.rs` and `a.rs` are both `a`; `lib.rs` is the root.
fn module_of(file: &Path) -> Module {
    let names = file.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let mut names: Vec<String> = names;
    names.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
    Module(names)
}

/// What a face passes on: its path there, and where it is from.
fn exports(module: &Module, file: &File) -> Vec<(Vec<String>, Vec<String>)> {
    let uses = file.items.iter().filter_map(|item| match item {
        Item::Use(item) if !matches!(item.vis, Visibility::Inherited) => Some(item),
        _ => None,
    });
    let paths = uses.flat_map(|item| leaves(&item.tree));
    let export = |path: Vec<String>| {
        let as_here = [module.0.as_slice(), &path[path.len() - 1..]].concat();
        let from = match path[0].as_str() {
            "crate" | "self" | "super" => absolute(module, &path),
            // One of its own rooms.
            _ => [module.0.as_slice(), &path].concat(),
        };
        (as_here, from)
    };
    paths.map(export).collect()
}

/// The file that a path leads to; `None`: it leads out of the crate.
fn resolve(
    path: Vec<String>,
    files: &BTreeMap<Module, File>,
    exports: &BTreeMap<Vec<String>, Vec<String>>,
) -> Option<Module> {
    let lengths = (1..=path.len()).rev();
    let file = lengths.map(|length| Module(path[..length].to_vec())).find(|file| files.contains_key(file))?;
    // What a face passes on is an item in it, or bears the name of the room that it is from.
    let item = (file.0.len() + 1).min(path.len());
    // A macro is passed on under its own path.
    match exports.get(&path[..item]).filter(|from| ***from != path[..item]) {
        Some(from) => resolve([from.as_slice(), &path[item..]].concat(), files, exports),
        None => Some(file),
    }
}

/// From the crate's root.
fn absolute(module: &Module, path: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    match path[0].as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [module.0.as_slice(), &path[1..]].concat(),
        _ => [&module.0[..module.0.len() - supers], &path[supers..]].concat(),
    }
}

/// Each path that a `use` item has.
fn leaves(tree: &UseTree) -> Vec<Vec<String>> {
    let below = |name: String, leaf: Vec<String>| match leaf.as_slice() {
        [last] if last == "self" => vec![name],
        _ => [vec![name], leaf].concat(),
    };
    match tree {
        UseTree::Path(path) => {
            leaves(&path.tree).into_iter().map(|leaf| below(path.ident.to_string(), leaf)).collect()
        }
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        UseTree::Rename(rename) => vec![vec![rename.ident.to_string()]],
        UseTree::Glob(_) => vec![vec!["*".to_owned()]],
    }
}

/// Collects the paths of one file.
struct Paths<'a> {
    module: &'a Module,
    found: BTreeSet<Vec<String>>,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String]) {
        if matches!(path[0].as_str(), "crate" | "self" | "super") && path.len() > 1 {
            self.found.insert(absolute(self.module, path));
        }
    }
}

impl Visit<'_> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &ItemMod) {
        if !item.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        leaves(&item.tree).iter().for_each(|path| self.add(path));
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&names);
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
}
