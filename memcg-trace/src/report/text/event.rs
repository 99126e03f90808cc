//! Live lines, one per event.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, Page, WARN, fit, memcg_caches, pinned,
    words::{id, many, name_of, or, pod},
};
use crate::{
    report::view::{Detail, EventKind, EventView, MemcgView, state_name},
    units::{Size, Time, TimeOfDay, UNKNOWN},
};

/// Placeholder for a column that does not apply.
const NONE: &str = "-";

/// Prints the header.
///
/// ID is the memcg ID while the memcg owns it, then `released`. AGE is the time the memcg spent in the state that the
/// event ended; for `released` and `LEAKED`, the time it has been dying.
pub fn header(out: &mut impl Write, page: impl Into<Page>) -> io::Result<()> {
    match LineWidth::of(page.into()) {
        LineWidth::Whole { .. } => {
            columns(out, ["TIME(UTC)", "EVENT", "STATE", "ID", "AGE", "CONTAINER", "POD"])?
        }
        LineWidth::Short { .. } => short_columns(out, ["TIME(UTC)", "EVENT", "ID", "AGE"])?,
    }
    writeln!(out, "PATH")
}

/// Where a line goes on that is too long: below the event.
const INDENT: usize = 13;

/// How much of a memcg's line there is room for; `path`: columns of the path.
enum LineWidth {
    Whole {
        path: usize,
    },
    /// Without what the event or the path says, too.
    Short {
        path: usize,
    },
}

impl LineWidth {
    /// What is before the path.
    const WHOLE: usize = 12 + 1 + 12 + 1 + 7 + 1 + 8 + 1 + 7 + 2 + 12 + 1 + 8 + 1;
    const SHORT: usize = 12 + 1 + 12 + 1 + 8 + 1 + 7 + 2;
    /// A path of which less is left says less than the columns before it.
    const PATH: usize = 60;

    fn of(page: Page) -> Self {
        match page.width {
            None => Self::Whole { path: usize::MAX },
            Some(width) if width < Self::WHOLE + Self::PATH => {
                Self::Short { path: width.saturating_sub(Self::SHORT) }
            }
            Some(width) => Self::Whole { path: width - Self::WHOLE },
        }
    }

    fn path(&self, path: &str) -> String {
        let (Self::Whole { path: width } | Self::Short { path: width }) = self;
        fit::path(path, *width)
    }
}

/// One line; for a leak, with all known facts.
pub fn event(out: &mut impl Write, event: &EventView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let mut line = Vec::new();
    match &event.detail {
        Some(Detail::Lost { hook, cpu, events }) => {
            write!(line, "{:<12} {:<12} ", time(event), name(event.event))?;
            write!(line, "{} of {hook} on CPU {cpu} did not fit in the buffer", many(*events, "event"))?;
        }
        Some(Detail::Missed { hook, firings }) => {
            write!(line, "{:<12} {:<12} ", time(event), name(event.event))?;
            write!(line, "{} of {hook} missed: the kernel skipped the hook", many(*firings, "firing"))?;
        }
        _ => step(&mut line, event, page)?,
    }
    let style = page.style(style(event.event));
    page.line(out, &format!("{style}{}{style:#}", String::from_utf8_lossy(&line)), INDENT)
}

/// An event of a memcg.
fn step(out: &mut impl Write, event: &EventView<'_>, page: Page) -> io::Result<()> {
    let memcg = event.memcg.as_ref();
    let container = event.container;
    let lines = LineWidth::of(page);
    let unknown =
        if matches!(event.event, EventKind::Online | EventKind::AllocFailed) { NONE } else { UNKNOWN };
    let age = or(event.elapsed_ns.map(|ns| Time { ns }), unknown);
    let id = memcg.map_or_else(|| NONE.to_owned(), id);
    let (time, name) = (time(event), name(event.event));
    match lines {
        LineWidth::Whole { .. } => columns(
            out,
            [
                &time,
                name,
                memcg.map_or(NONE, |memcg| state_name(memcg.state)),
                &id,
                &age,
                &or(container.and_then(|container| container.title()).as_deref().map(name_of), NONE),
                &or(container.and_then(|container| container.pod_title()).map(name_of), NONE),
            ],
        )?,
        LineWidth::Short { .. } => short_columns(out, [&time, name, &id, &age])?,
    }
    match &event.detail {
        Some(Detail::AllocFailed { error, meaning, parent, .. }) => {
            let parent = parent.as_ref().and_then(|parent| parent.path);
            write!(out, "below {}: {error}, {meaning}", lines.path(&or(parent, UNKNOWN)))
        }
        _ => {
            write!(out, "{}", lines.path(&or(memcg.and_then(|memcg| memcg.path), UNKNOWN)))?;
            match memcg {
                Some(memcg) if event.event == EventKind::Leaked => leak(out, event, memcg),
                _ => Ok(()),
            }
        }
    }
}

/// Further facts about a leaked memcg.
fn leak(out: &mut impl Write, event: &EventView<'_>, memcg: &MemcgView<'_>) -> io::Result<()> {
    if let Some(container) = event.container {
        if let Some(pod) = pod(container) {
            write!(out, " | {pod}")?;
        }
        if let Some(id) = &container.id {
            let name = container.name.as_deref().filter(|name| name != id);
            let name = name.map(|name| format!("{} ", name_of(name))).unwrap_or_default();
            write!(out, " | container {name}{}", name_of(id))?;
        }
        if let Some(image) = &container.image {
            write!(out, " | image {}", name_of(image))?;
        }
    }
    match (memcg.id_held, memcg.id_refs) {
        (Some(true), Some(refs)) => write!(out, " | ID held by {}", many(refs.into(), "swapped-out page"))?,
        (Some(true), None) => write!(out, " | ID held")?,
        (Some(false), _) => write!(out, " | ID released")?,
        (None, _) => {}
    }
    if let Some(bytes) = memcg.charged_bytes {
        write!(out, " | {} charged", Size { bytes })?;
        if let Some(bytes) = memcg.held_bytes_max.filter(|_| memcg.is_stale()) {
            write!(out, ", of which it holds {} at most", Size { bytes })?;
        }
    }
    if let Some(refs) = memcg.css_refs {
        write!(out, " | {}", many(refs, "css ref"))?;
    }
    if memcg.css_freed_ns.is_some() {
        write!(out, " | css_free came, __mem_cgroup_free did not")?;
    }
    if let Some(pinned) = &memcg.pinned {
        write!(out, " | pinned by {}", pinned::pinned(pinned))?;
    }
    match (memcg.slab_caches.as_deref(), memcg.held_by_caches) {
        (Some([]), true) => write!(out, " | pinned by no slab cache")?,
        (Some(names), true) => write!(out, " | pinned by {}", memcg_caches::names(names))?,
        (Some(names @ [_, ..]), false) => write!(out, " | slab caches {}", memcg_caches::names(names))?,
        (Some([]), false) | (None, _) => {}
    }
    if let Some(creator) = &memcg.creator {
        write!(out, " | created by {} (pid {})", creator.comm, creator.tgid)?;
    }
    Ok(())
}

fn columns(out: &mut impl Write, columns: [&str; 7]) -> io::Result<()> {
    let [time, event, state, id, age, container, pod] = columns;
    write!(out, "{time:<12} {event:<12} {state:<7} {id:>8} {age:>7}  {container:<12} {pod:<8} ")
}

fn short_columns(out: &mut impl Write, [time, event, id, age]: [&str; 4]) -> io::Result<()> {
    write!(out, "{time:<12} {event:<12} {id:>8} {age:>7}  ")
}

fn time(event: &EventView<'_>) -> String {
    TimeOfDay { ns: event.time.as_nanosecond() }.to_string()
}

/// Leaks stand out without colour, too.
pub fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Online => "online",
        EventKind::Removed => "removed",
        EventKind::Offline => "offline",
        EventKind::Released => "released",
        EventKind::CssFreed => "css_freed",
        EventKind::Freed => "freed",
        EventKind::AllocFailed => "alloc_failed",
        EventKind::Leaked => "LEAKED",
        EventKind::Late => "late",
        EventKind::Lost => "lost",
        EventKind::Missed => "missed",
        EventKind::Reconciled => "reconciled",
    }
}

fn style(kind: EventKind) -> Style {
    match kind {
        EventKind::Leaked | EventKind::AllocFailed => BAD,
        EventKind::Late | EventKind::Lost | EventKind::Missed | EventKind::Reconciled => WARN,
        EventKind::Online
        | EventKind::Removed
        | EventKind::Offline
        | EventKind::Released
        | EventKind::CssFreed
        | EventKind::Freed => Style::new(),
    }
}
