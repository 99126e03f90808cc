//! A temporary file, removed at the end of the test.

use std::{env, fs, path::PathBuf, process};

pub struct File(pub PathBuf);

impl File {
    /// The program under test makes it.
    pub fn named(name: &str) -> Self {
        Self(env::temp_dir().join(format!("memcg-trace-test-{name}-{}", process::id())))
    }

    pub fn with(name: &str, content: &[u8]) -> Self {
        let file = Self::named(name);
        fs::write(&file.0, content).expect("write a file");
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
