//! The modules of a kernel: files, and what their `.modinfo` says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// All modules below a directory like /lib/modules/RELEASE, by the names that the kernel has for them (`_`, never `-`).
pub struct Modules {
    directory: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

impl Modules {
    pub fn below(directory: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        find(directory, &mut files)?;
        Ok(Self { directory: directory.to_owned(), files })
    }

    /// The module of that name; if there is none, those that have the name as an alias. Soft dependencies are often aliases:
    /// ext4 of 6.1 wants `crc32c`, which is in crc32c_generic. Built in: none.
    pub fn called(&self, name: &str) -> Result<Vec<(&str, &Path)>> {
        let name = normal(name);
        if let Some((name, file)) = self.files.get_key_value(&name) {
            return Ok(vec![(name, file)]);
        }
        // Implementations of an algorithm are named after it. To read every module would take seconds.
        let family = format!("{name}_");
        let mut providers = Vec::new();
        for (module, file) in self.files.iter().filter(|(module, _)| module.starts_with(&family)) {
            if values(&read(file)?, "alias=").any(|alias| normal(&alias) == name) {
                providers.push((module.as_str(), file.as_path()));
            }
        }
        Ok(providers)
    }

    /// The named modules that are neither files nor built in.
    pub fn missing(&self, names: &[String]) -> Result<Vec<String>> {
        // Kernels that were not installed have no such list.
        let built_in = fs::read_to_string(self.directory.join("modules.builtin")).unwrap_or_default();
        let built_in: Vec<_> = built_in.lines().filter_map(|line| module_name(Path::new(line))).collect();
        let mut missing = Vec::new();
        for name in names {
            if !built_in.contains(&normal(name)) && self.called(name)?.is_empty() {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }
}

fn find(directory: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find(&path, found)?;
        } else if let Some(name) = module_name(&path) {
            found.insert(name, path);
        }
    }
    Ok(())
}

/// The kernel's name for a module file (`*.ko`, `*.ko.xz`).
fn module_name(path: &Path) -> Option<String> {
    match path.file_name()?.to_str()?.split_once(".ko")? {
        (name, "" | ".xz") => Some(normal(name)),
        _ => None,
    }
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The content of a module file, unpacked.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "ko") {
        return fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().context("cannot run xz")?;
    if !output.status.success() {
        bail!("cannot unpack {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Dependencies of a module: hard (`depends=a,b`), and soft (`softdep=pre: a b post: c`), which are names or aliases.
pub fn dependencies(module: &[u8]) -> Vec<String> {
    let hard =
        values(module, "depends=").flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
    let soft = values(module, "softdep=")
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| !word.ends_with(':'));
    hard.chain(soft).filter(|name| !name.is_empty()).collect()
}

/// The values of a key in `.modinfo`, whose texts end with NUL.
fn values<'a>(module: &'a [u8], key: &'a str) -> impl Iterator<Item = String> + 'a {
    let texts = module.split(|&byte| byte == 0);
    texts
        .filter_map(|text| text.strip_prefix(key.as_bytes()))
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_dependencies_are_dependencies() {
        let modinfo = b"\0license=GPL\0softdep=pre: crc32c\0depends=mbcache,jbd2\0name=ext4\0";
        assert_eq!(dependencies(modinfo), ["mbcache", "jbd2", "crc32c"]);
        assert_eq!(dependencies(b"depends=\0softdep=pre: a-b c post: d\0"), ["a-b", "c", "d"]);
    }

    #[test]
    fn aliases_and_built_in_modules_are_found() {
        let directory = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        fs::create_dir_all(directory.join("kernel/crypto")).expect("a directory");
        let write = |name: &str, content: &[u8]| fs::write(directory.join(name), content).expect("a file");
        write("kernel/crypto/crc32c_generic.ko", b"alias=crypto-crc32c\0alias=crc32c\0");
        write("kernel/crypto/crc32c-other.ko", b"alias=crc32c_other\0");
        write("modules.builtin", b"kernel/fs/ext4/ext4.ko\n");
        let modules = Modules::below(&directory).expect("modules");
        let names = |name: &str| -> Vec<String> {
            modules.called(name).expect("a module").iter().map(|(name, _)| (*name).to_owned()).collect()
        };
        assert_eq!(names("crc32c"), ["crc32c_generic"]);
        assert_eq!(names("crc32c-other"), ["crc32c_other"]);
        let wanted = ["ext4", "crc32c", "zram"].map(str::to_owned);
        assert_eq!(modules.missing(&wanted).expect("modules"), ["zram"]);
        fs::remove_dir_all(directory).expect("a directory");
    }
}
