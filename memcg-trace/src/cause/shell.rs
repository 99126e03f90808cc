//! Names inside of commands that people paste into a shell. Tenants choose the names.
//!
//! POSIX (Shell Command Language, 2.2.2): inside of single quotes every byte stands for itself but the single quote. What
//! a terminal would act upon before the shell sees it (a newline, an escape sequence that ends a bracketed paste), what
//! is invisible and what is not UTF-8 cannot be pasted at all: such a name has no word, and is told by its inode.

use std::fmt;

use crate::deceptive::is_deceptive;

/// A word of a command line, quoted as far as needed. It displays as what is to be pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    /// `None`: the name cannot be pasted. The word may begin with a dash, see [`Word::path`].
    pub fn of(name: &[u8]) -> Option<Self> {
        let name = str::from_utf8(name).ok()?;
        if name.contains(is_deceptive) {
            return None;
        }
        Some(Self(if is_plain(name) {
            name.to_owned()
        } else {
            format!("'{}'", name.replace('\'', r"'\''"))
        }))
    }

    /// An absolute path: no command takes it for an option.
    pub fn path(path: &[u8]) -> Option<Self> {
        path.starts_with(b"/").then(|| Self::of(path))?
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Means itself to every shell wherever it stands behind a command's name.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:@,+%".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::PathBuf,
        process::{self, Command},
        sync::atomic::{AtomicU32, Ordering},
    };

    use proptest::prelude::*;

    use super::*;

    fn word(name: &str) -> Option<String> {
        Word::of(name.as_bytes()).map(|word| word.to_string())
    }

    #[test]
    fn words_are_quoted_as_far_as_needed() {
        let table = [
            ("/var/lib/a-b_c.d:1@2,3+4%5", Some("/var/lib/a-b_c.d:1@2,3+4%5")),
            ("", Some("''")),
            ("-rf", Some("-rf")),
            ("~root", Some("'~root'")),
            ("=ls", Some("'=ls'")),
            ("a b", Some("'a b'")),
            ("it's", Some(r"'it'\''s'")),
            ("$(reboot)", Some("'$(reboot)'")),
            ("`reboot`; reboot & #!*?[]{}\\\"<>|", Some("'`reboot`; reboot & #!*?[]{}\\\"<>|'")),
            ("größe", Some("'größe'")),
            // What a terminal acts upon, and what hides.
            ("a\nreboot", None),
            ("a\x1b[201~reboot", None),
            ("a\rb", None),
            ("a\u{202e}b", None),
            ("a\u{200b}b", None),
        ];
        for (name, expected) in table {
            assert_eq!(word(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(Word::of(b"/\xff"), None);
    }

    #[test]
    fn a_path_is_no_option() {
        assert_eq!(Word::path(b"-rf"), None);
        assert_eq!(Word::path(b"/-rf").map(|word| word.to_string()).as_deref(), Some("/-rf"));
    }

    /// Runs `/bin/sh -c SCRIPT` where a file that any command makes would be seen.
    fn sh(script: &str) -> (Vec<u8>, Vec<PathBuf>) {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("memcg-trace-words-{}-{run}", process::id()));
        fs::create_dir(&directory).expect("a directory");
        let output = Command::new("/bin/sh").args(["-c", script]).current_dir(&directory).output();
        let output = output.expect("run /bin/sh");
        let files = fs::read_dir(&directory).expect("the directory");
        let files = files.map(|file| file.expect("a file").path()).collect();
        fs::remove_dir_all(&directory).expect("remove the directory");
        (output.stdout, files)
    }

    #[test]
    fn the_canary_sings_where_nothing_is_quoted() {
        let (_, files) = sh("printf %s $(echo > canary)");
        assert_eq!(files.len(), 1);
    }

    /// Parts of names that mean something to a shell, with a canary behind them.
    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("> canary".to_owned()),
            Just("$(echo > canary)".to_owned()),
            Just("`echo > canary`".to_owned()),
            Just("; echo > canary #".to_owned()),
            Just("' ; echo > canary ; '".to_owned()),
            Just("\" ; echo > canary ; \"".to_owned()),
            Just("\\".to_owned()),
            Just("'".to_owned()),
            Just("-".to_owned()),
            Just("~".to_owned()),
            Just("*".to_owned()),
            Just("$HOME".to_owned()),
            Just("& echo > canary &".to_owned()),
            "[ -~]{0,6}",
            "\\PC{0,4}",
        ];
        proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// A real shell gives back the bytes of each name, and runs none of it.
        #[test]
        fn no_name_becomes_a_command(names in proptest::collection::vec(hostile(), 1..4)) {
            let words: Vec<_> = names.iter().filter_map(|name| Some((name, Word::of(name.as_bytes())?))).collect();
            for (_, word) in &words {
                prop_assert!(!word.to_string().contains(is_deceptive));
            }
            let script: String = words.iter().map(|(_, word)| format!("printf '%s\\n' {word}\n")).collect();
            let (output, files) = sh(&script);
            let expected: String = words.iter().map(|(name, _)| format!("{name}\n")).collect();
            prop_assert_eq!(String::from_utf8_lossy(&output), expected);
            prop_assert!(files.is_empty(), "{script}");
        }
    }
}
