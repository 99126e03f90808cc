//! Names from the kernel are untrusted: a cgroup's name may contain any byte but NUL and slash, a comm any but NUL.
//!
//! - Text: a name with bytes that could move the cursor, forge a line or hide text is written in the shell's `$'…'`, so
//!   it can be pasted; so is one that looks like several fields of a line, which are separated by `|` or two spaces. Every
//!   other name is unchanged.
//! - JSON: a name in UTF-8 is unchanged, so that it can be joined to a mount point (systemd's `\x2d` included). In any
//!   other, backslashes are doubled and bytes that are not UTF-8 become `\xNN`; the field `…_escaped` is true then.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use crate::deceptive::is_deceptive;

/// A name; displays as text, serializes as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name<'a>(pub &'a [u8]);

impl Name<'_> {
    /// Whether the JSON string differs from the name.
    pub fn is_escaped_in_json(&self) -> bool {
        str::from_utf8(self.0).is_err()
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(self.0) {
            Ok(name) if is_plain(self.0) => f.write_str(name),
            // A name that looks like an escaped one is escaped, too.
            Ok(name) if !name.contains(is_deceptive) && !is_forged(name) => f.write_str(name),
            _ => quote(self.0, f),
        }
    }
}

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(self.0) {
            Ok(name) => serializer.serialize_str(name),
            Err(_) => serializer.collect_str(&Escaped(self.0)),
        }
    }
}

/// JSON form of a name that is not UTF-8.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '\\' {
                    f.write_char(c)?;
                }
                f.write_char(c)?;
            }
            hex(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

fn quote(name: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("$'")?;
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' | '\'' => write!(f, "\\{c}")?,
                c if is_deceptive(c) => hex(c.encode_utf8(&mut [0; 4]).as_bytes(), f)?,
                c => f.write_char(c)?,
            }
        }
        hex(chunk.invalid(), f)?;
    }
    f.write_char('\'')
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// Whether each byte alone shows that the name can stand as it is: nearly all names are like that, and each line has some.
fn is_plain(name: &[u8]) -> bool {
    name.iter().fold(true, |plain, byte| plain & matches!(byte, b'%'..=b'{' | b'}' | b'~'))
}

/// A name that looks like an escaped one, or like more than a name: fields of a line are separated by `|`, columns by two
/// spaces.
fn is_forged(name: &str) -> bool {
    name.starts_with("$'") || name.contains('|') || name.contains("  ") || name.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_pasteable_and_harmless() {
        let table: &[(&[u8], &str)] = &[
            (b"/system.slice/system-getty.slice", "/system.slice/system-getty.slice"),
            (b"/a\\x2db", "/a\\x2db"),
            ("/größe/日本".as_bytes(), "/größe/日本"),
            (b"/a\nb", "$'/a\\x0ab'"),
            (b"/\x1b[2Jit's\\", "$'/\\x1b[2Jit\\'s\\\\'"),
            (b"/\xff\xfe", "$'/\\xff\\xfe'"),
            ("/\u{202e}cba".as_bytes(), "$'/\\xe2\\x80\\xaecba'"),
            (b"$'x'", "$'$\\'x\\''"),
            (b"/x | pod prod_payments", "$'/x | pod prod_payments'"),
            (b"/x  freed  12", "$'/x  freed  12'"),
            (b"/x ", "$'/x '"),
            (b"/a b", "/a b"),
        ];
        for (name, text) in table {
            assert_eq!(Name(name).to_string(), *text);
        }
    }

    #[test]
    fn json_is_verbatim_where_it_can_be() {
        let table: &[(&[u8], &str)] = &[
            (b"/a\\x2db\n", r#""/a\\x2db\n""#),
            (b"/a\\x2db\xff", r#""/a\\\\x2db\\xff""#),
            (b"/\x1b", r#""/\u001b""#),
        ];
        for (name, json) in table {
            assert_eq!(serde_json::to_string(&Name(name)).expect("a string serializes"), *json);
        }
    }

    proptest! {
        /// Different names never look the same, and no harmful byte reaches the terminal.
        #[test]
        fn text_is_unambiguous(a in proptest::collection::vec(any::<u8>(), 0..12),
                               b in proptest::collection::vec(prop_oneof![Just(b'\\'), Just(b'x'), Just(b'\n'), any::<u8>()], 0..12)) {
            let (text_a, text_b) = (Name(&a).to_string(), Name(&b).to_string());
            prop_assert!(!text_a.contains(is_deceptive));
            prop_assert_eq!(a == b, text_a == text_b);
        }
    }
}
