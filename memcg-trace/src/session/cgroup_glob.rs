//! `--cgroup`: which memcgs are shown, by path.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};

use crate::tracker::Memcg;

/// Matches whole paths. A single star stays within one directory, as in a shell.
#[derive(Clone, Debug)]
pub struct CgroupGlob(GlobMatcher);

impl CgroupGlob {
    /// A memcg of which no path is known matches nothing.
    pub fn matches(&self, memcg: &Memcg) -> bool {
        memcg.path.as_deref().is_some_and(|path| self.0.is_match(OsStr::from_bytes(path)))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        self.0.glob().glob()
    }
}

impl FromStr for CgroupGlob {
    type Err = globset::Error;

    fn from_str(text: &str) -> Result<Self, globset::Error> {
        Ok(Self(GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher()))
    }
}
