//! How long each test took, read off the output of a test program that runs them one at a time.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// The tests of a run, each with where it ran.
#[derive(Default)]
pub struct Slowest {
    tests: Vec<(Duration, String)>,
}

impl Slowest {
    /// Passes the output of a test program on to `out`, and takes down when its tests ended.
    pub fn watch<'a, W: Write>(&'a mut self, place: &'a str, out: W) -> Watched<'a, W> {
        Watched { out, line: Vec::new(), place, since: Instant::now(), tests: &mut self.tests }
    }

    /// Takes those of another run in.
    pub fn join(&mut self, other: Self) {
        self.tests.extend(other.tests);
    }

    /// The slowest ones, a line each.
    pub fn lines(mut self, count: usize) -> impl Iterator<Item = String> {
        self.tests.sort_by_key(|&(took, _)| std::cmp::Reverse(took));
        self.tests.into_iter().take(count).map(|(took, test)| format!("{:7.1} s  {test}", took.as_secs_f64()))
    }
}

/// See [`Slowest::watch`].
pub struct Watched<'a, W> {
    out: W,
    /// The line that is not complete so far.
    line: Vec<u8>,
    place: &'a str,
    /// The end of the test before.
    since: Instant,
    tests: &'a mut Vec<(Duration, String)>,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        for &byte in &bytes[..written] {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let ended = name(&self.line).map(|name| format!("{}: {name}", self.place));
            if let Some(test) = ended {
                self.tests.push((self.since.elapsed(), test));
                self.since = Instant::now();
            } else if self.line.starts_with(b"running ") {
                self.since = Instant::now();
            }
            self.line.clear();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The test whose end this line of a test program tells.
fn name(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let (name, verdict) = line.trim_end().strip_prefix("test ")?.split_once(" ... ")?;
    ["ok", "FAILED"].iter().any(|end| verdict.ends_with(end)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_that_ran_are_told() {
        let output =
            b"running 3 tests\r\ntest node::mkdir ... ok\r\ntest pod::runc ... said something\nFAILED\n\
            test old ... ignored, needs 3.10\ntest result: FAILED. 1 passed\ntest last ... FAILED\n";
        let (mut slowest, mut copy) = (Slowest::default(), Vec::new());
        let mut watched = slowest.watch("native", &mut copy);
        // In pieces that end anywhere.
        output.chunks(7).for_each(|piece| watched.write_all(piece).expect("memory"));
        assert_eq!(copy, output);
        let names: Vec<_> = slowest.tests.iter().map(|(_, name)| &**name).collect();
        assert_eq!(names, ["native: node::mkdir", "native: last"]);
    }

    #[test]
    fn the_slowest_comes_first() {
        let tests = [(1, "a"), (30, "b"), (2, "c")];
        let tests = tests.map(|(s, name)| (Duration::from_secs(s), name.to_owned())).to_vec();
        let lines: Vec<_> = Slowest { tests }.lines(2).collect();
        assert_eq!(lines, ["   30.0 s  b", "    2.0 s  c"]);
    }
}
