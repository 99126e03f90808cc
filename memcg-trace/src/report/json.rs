//! JSON, one object per line: live `event` lines, a `memcg` line per listed memcg or a `group` line per group, then the
//! `summary`. A `whois` line per query. `doctor` has its own lines.

use std::io::{self, Write};

use serde::Serialize;

use super::view::{
    DoctorView, EventView, ExplainView, Listed, PinLine, ReapView, ScanView, SlabCacheView, SlabDelta,
    SlabEventView, SlabView, SummaryView, VerifyView, WhoisView,
};

/// Version of the schema. Fields may be added without changing it; renaming or removing any requires a new one.
pub const SCHEMA: u32 = 1;

/// The first fields of every line.
#[derive(Serialize)]
struct Line<'a, T> {
    schema: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    view: &'a T,
}

pub fn event(out: &mut impl Write, event: &EventView<'_>) -> io::Result<()> {
    line(out, "event", event)
}

/// An existing memcg.
pub fn memcg(out: &mut impl Write, listed: &Listed<'_>) -> io::Result<()> {
    line(out, "memcg", listed)
}

/// The memcgs or groups of a scan, then its summary, always the last line.
pub fn scan(out: &mut impl Write, scan: &ScanView<'_>) -> io::Result<()> {
    match &scan.groups {
        Some(groups) => groups.iter().try_for_each(|group| line(out, "group", group))?,
        None => scan.listed.iter().try_for_each(|listed| memcg(out, listed))?,
    }
    line(out, "summary", scan)
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
    summary.survivors.iter().try_for_each(|survivor| memcg(out, survivor))?;
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
    struct Listed<'a> {
        slab_cache: &'a SlabCacheView<'a>,
    }
    line(out, "slab_cache", &Listed { slab_cache })
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

fn line<T: Serialize>(out: &mut impl Write, kind: &'static str, view: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { schema: SCHEMA, kind, view })?;
    out.write_all(b"\n")
}
