//! JSON, one object per line: live `event` lines, a `memcg` line per listed memcg or a `group` line per group, then the
//! `summary`. A `whois` line per query. `doctor` has its own lines.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::view::{
    DoctorView, EventView, ExplainView, LeaksView, ListedMemcg, PinLine, ReapView, ScanView, SlabCacheView,
    SlabDelta, SlabEventView, SlabView, SummaryView, VerifyView, WhoisView,
};
use crate::deceptive::is_deceptive;

/// Version of the schema. Fields may be added without changing it; renaming or removing any requires a new one.
pub const SCHEMA: u32 = 1;

pub fn event(out: &mut impl Write, event: &EventView<'_>) -> io::Result<()> {
    line(out, "event", event)
}

/// An existing memcg.
pub fn memcg(out: &mut impl Write, listed: &ListedMemcg<'_>) -> io::Result<()> {
    line(out, "memcg", listed)
}

/// The memcgs or groups of a scan, then its summary, always the last line.
pub fn scan(out: &mut impl Write, scan: &ScanView<'_>) -> io::Result<()> {
    match &scan.groups {
        Some(groups) => groups.iter().try_for_each(|group| line(out, "group", group))?,
        None => scan.listed.iter().try_for_each(|listed| memcg(out, &listed))?,
    }
    line(out, "summary", scan)
}

/// The leaked memcgs of a run that goes on, in one object.
pub fn leaks(out: &mut impl Write, leaks: &LeaksView<'_>) -> io::Result<()> {
    line(out, "leaks", leaks)
}

/// Each thing that pins a memcg, or each group of them, then the summary: always the last line.
pub fn explain(out: &mut impl Write, explain: &ExplainView<'_>) -> io::Result<()> {
    match &explain.groups {
        Some(groups) => groups.iter().try_for_each(|group| line(out, "group", group))?,
        None => {
            for memcg in &explain.explained {
                let mut pins = memcg.parts.iter().map(|part| PinLine::new(&memcg.listed, part));
                pins.try_for_each(|pin| line(out, "pin", &pin))?;
            }
        }
    }
    line(out, "summary", explain)
}

/// Each file whose page cache pins a memcg, then the summary: always the last line.
pub fn reap(out: &mut impl Write, reap: &ReapView<'_>) -> io::Result<()> {
    reap.files.iter().try_for_each(|file| line(out, "reaped_file", file))?;
    line(out, "summary", reap)
}

/// Leaked memcgs and slab caches and requested groups, then the summary, always the last line.
pub fn summary(out: &mut impl Write, summary: &SummaryView<'_>) -> io::Result<()> {
    summary.survivors.iter().try_for_each(|survivor| memcg(out, &survivor))?;
    summary.leaked_slab_caches.iter().try_for_each(|cache| slab_cache(out, cache))?;
    summary.rolled.iter().try_for_each(|group| line(out, "group", group))?;
    line(out, "summary", summary)
}

/// Features, findings, known bugs and remedies, then the summary, always the last line.
pub fn doctor(out: &mut impl Write, view: &DoctorView<'_>) -> io::Result<()> {
    view.abilities.iter().try_for_each(|ability| line(out, "ability", ability))?;
    view.findings.iter().try_for_each(|finding| line(out, "finding", finding))?;
    view.known.iter().try_for_each(|known| line(out, "known_bug", known))?;
    view.remedies.iter().try_for_each(|remedy| line(out, "remedy", remedy))?;
    line(out, "summary", view)
}

/// Verdicts and changes since the baseline, then the summary, always the last line.
pub fn verify(out: &mut impl Write, view: &VerifyView) -> io::Result<()> {
    view.verdicts.iter().try_for_each(|verdict| line(out, "verdict", verdict))?;
    view.changes.iter().flatten().try_for_each(|change| line(out, "change", change))?;
    line(out, "summary", view)
}

/// An event of a slab cache.
pub fn slab_event(out: &mut impl Write, event: &SlabEventView<'_>) -> io::Result<()> {
    line(out, "event", event)
}

/// Changes since the previous report.
pub fn slab_delta(out: &mut impl Write, delta: &SlabDelta) -> io::Result<()> {
    line(out, "slab_delta", delta)
}

/// An existing slab cache.
pub fn slab_cache(out: &mut impl Write, slab_cache: &SlabCacheView<'_>) -> io::Result<()> {
    #[derive(Serialize)]
    struct ListedMemcg<'a> {
        slab_cache: &'a SlabCacheView<'a>,
    }
    line(out, "slab_cache", &ListedMemcg { slab_cache })
}

/// Listed slab caches or groups, then the summary, always the last line.
pub fn slab(out: &mut impl Write, slab: &SlabView<'_>) -> io::Result<()> {
    match &slab.groups {
        Some(groups) => groups.iter().try_for_each(|group| line(out, "slab_group", group))?,
        None => slab.caches.iter().try_for_each(|cache| slab_cache(out, cache))?,
    }
    line(out, "summary", &slab.summary)
}

/// The answer to a query.
pub fn whois(out: &mut impl Write, view: &WhoisView<'_>) -> io::Result<()> {
    line(out, "whois", view)
}

/// An object that begins with schema and type; the rest is the view, which must be an object.
fn line<T: Serialize>(out: &mut impl Write, kind: &'static str, view: &T) -> io::Result<()> {
    let mut line = Vec::with_capacity(TYPICAL);
    for escape in [false, true] {
        line.clear();
        write!(line, r#"{{"schema":{SCHEMA},"type":"{kind}""#)?;
        let formatter = LineFormatter { depth: 0, escape };
        view.serialize(&mut serde_json::Serializer::with_formatter(&mut line, formatter))?;
        // Nearly all lines are: looking at the whole costs less than looking at each string. No byte ends the look early, so
        // that it takes many at a time.
        if line.iter().fold(true, |plain, byte| plain & (b' '..=b'~').contains(byte)) {
            break;
        }
    }
    line.push(b'\n');
    out.write_all(&line)
}

/// Bytes of a line.
const TYPICAL: usize = 2048;

/// Compact, and if need be with every character escaped that a terminal could take for an order or that hides text: JSON itself
/// asks for those below U+0020 alone.
struct LineFormatter {
    /// Objects that are open. The outermost one is open before its view begins.
    depth: usize,
    escape: bool,
}

impl Formatter for LineFormatter {
    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth == 1 { Ok(()) } else { out.write_all(b"{") }
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first && self.depth > 1 { Ok(()) } else { out.write_all(b",") }
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if !self.escape {
            return out.write_all(fragment.as_bytes());
        }
        let mut plain = 0;
        for (at, deceptive) in fragment.char_indices().filter(|(_, c)| is_deceptive(*c)) {
            out.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in deceptive.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = at + deceptive.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_to_a_terminal_and_no_hidden_text() {
        let text = "a\u{9b}2J \u{7f}\u{85}\u{202e}txt.exe\u{e0041} größe 日本\n";
        let mut json = Vec::new();
        line(&mut json, "test", &serde_json::json!({ "text": text })).expect("a Vec takes all");
        let json = String::from_utf8(json).expect("JSON is UTF-8");
        let expected = r#"{"schema":1,"type":"test","text":"a\u009b2J \u007f\u0085\u202etxt.exe\udb40\udc41 größe 日本\n"}"#;
        assert_eq!(json.trim_end(), expected);
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["text"], text);
    }
}
