//! Converts paths that threads passed to mkdir to cgroup paths.
//!
//! Such a path is a file system path as seen by that thread: it may be relative, or below another root or an unknown
//! mount. It is accepted if it is an existing directory below our mount of the controller.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use memcg_trace_common::{Field, Hook};

use crate::{
    event::Event,
    kernel::{
        Kernel,
        hooks::{css_callbacks::Callbacks, plan::Kind},
    },
    record::Record,
};

/// The controller's mount point.
pub struct MkdirPaths(PathBuf);

impl MkdirPaths {
    /// `None`: this kernel has other sources of paths.
    pub fn of(kernel: &Kernel) -> Option<Self> {
        let wanted = kernel.kind() == Kind { callbacks: Callbacks::Cgroup, blind: true };
        wanted.then(|| Self(kernel.controller.mount.clone()))
    }

    /// Replaces the requested path with the cgroup path, or removes it.
    pub fn place(&self, record: &mut Record) {
        let Record::Event(event) = record else { return };
        if event.hook() != Hook::CgroupMkdir || !event.name_is_path() {
            return;
        }
        let path = event.name().filter(|_| !event.name_truncated()).and_then(|asked| self.below(asked));
        let mut header = *event.header();
        if path.is_none() {
            header.known &= !(Field::NAME | Field::PATH);
        }
        if let Ok(placed) = Event::new(header, path.as_deref().unwrap_or_default()) {
            *event = placed;
        }
    }

    /// The path from the root of the hierarchy.
    fn below(&self, asked: &[u8]) -> Option<Vec<u8>> {
        let asked = Path::new(OsStr::from_bytes(asked));
        let relative = asked.strip_prefix(&self.0).ok().filter(|path| is_plain(path))?;
        let is_directory = fs::symlink_metadata(asked).is_ok_and(|metadata| metadata.is_dir());
        // By component: the requested path may have redundant slashes.
        let path = || Path::new("/").iter().chain(relative).collect::<PathBuf>();
        is_directory.then(|| path().into_os_string().into_encoded_bytes())
    }
}

/// Whether it has no `..`, and is not the root.
fn is_plain(path: &Path) -> bool {
    let mut components = path.components().peekable();
    components.peek().is_some()
        && components.all(|component| matches!(component, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use memcg_trace_common::EventHeader;
    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn only_what_is_there() {
        let mount = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = MkdirPaths(mount.to_owned());
        let placed = |path: &str| {
            let known = Field::CSS | Field::NAME | Field::PATH;
            let header = EventHeader { hook: Hook::CgroupMkdir as u16, known, ..EventHeader::new_zeroed() };
            let mut record = Record::Event(Event::new(header, path.as_bytes()).expect("an event"));
            paths.place(&mut record);
            let Record::Event(event) = record else { panic!("an event") };
            event.name().map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let below = |path: &str| placed(&mount.join(path).display().to_string());
        assert_eq!(below("src/source"), Some("/src/source".to_owned()));
        assert_eq!(below("src//source/"), Some("/src/source".to_owned()));
        assert_eq!(below("src/../src"), None);
        assert_eq!(below("gone"), None);
        assert_eq!(below(""), None);
        assert_eq!(placed("src"), None);
        assert_eq!(placed("/"), None);
    }
}
