//! Live lines, one per event.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, Page, WARN, fit, memcg_caches, pinned,
    words::{id, many, name_of, or, pod},
};
use crate::{
    attribution::Container,
    report::view::{Detail, EventKind, EventView, MemcgView, TaskView, state_name},
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

/// Bytes of a line.
const TYPICAL: usize = 256;
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
    let style = page.style(style(event.event));
    let mut line = Vec::with_capacity(TYPICAL);
    write!(line, "{style}")?;
    match &event.detail {
        Some(Detail::Lost { hook, cpu, events }) => {
            write!(line, "{:<12} {:<12} ", time(event), name(event.event))?;
            write!(line, "{} of {hook} on CPU {cpu} did not fit in the buffer", many(*events, "event"))?;
        }
        Some(Detail::Missed { hook, firings }) => {
            write!(line, "{:<12} {:<12} ", time(event), name(event.event))?;
            write!(line, "{} of {hook} missed: the kernel skipped the hook", many(*firings, "firing"))?;
        }
        Some(Detail::Outage { outage_ns, meaning, .. }) => {
            write!(line, "{:<12} {:<12} ", time(event), name(event.event))?;
            write!(line, "nothing was recorded for {}: {meaning}", Time { ns: *outage_ns })?;
        }
        _ => step(&mut line, event, page)?,
    }
    write!(line, "{style:#}")?;
    page.line(out, &String::from_utf8_lossy(&line), INDENT)
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
                Some(memcg) if event.event == EventKind::Leaked => {
                    leak(container, memcg).iter().try_for_each(|fact| write!(out, " | {fact}"))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Whose a memcg was, in full.
pub fn whose(container: &Container) -> Vec<String> {
    let mut facts: Vec<String> = pod(container).into_iter().collect();
    if let Some(id) = &container.id {
        let name = container.name.as_deref().filter(|name| name != id);
        let name = name.map(|name| format!("{} ", name_of(name))).unwrap_or_default();
        facts.push(format!("container {name}{}", name_of(id)));
    }
    facts.extend(container.image.as_ref().map(|image| format!("image {}", name_of(image))));
    facts
}

/// Whether a memcg that is dying holds its ID, and by what.
pub fn id_held(memcg: &MemcgView<'_>) -> Option<String> {
    Some(match (memcg.id_held?, memcg.id_refs) {
        (true, Some(refs)) => format!("ID held by {}", many(refs.into(), "swapped-out page")),
        (true, None) => "ID held".to_owned(),
        (false, _) => "ID released".to_owned(),
    })
}

/// 3.10 only.
pub fn css_freed(memcg: &MemcgView<'_>) -> Option<String> {
    memcg.css_freed_ns.map(|_| "css_free came, __mem_cgroup_free did not".to_owned())
}

/// `created by mkdir (pid 42)`
pub fn done_by(what: &str, task: Option<&TaskView<'_>>) -> Option<String> {
    task.map(|task| format!("{what} by {} (pid {})", task.comm, task.tgid))
}

/// Further facts about a leaked memcg.
fn leak(container: Option<&Container>, memcg: &MemcgView<'_>) -> Vec<String> {
    let mut facts = container.map(whose).unwrap_or_default();
    facts.extend(id_held(memcg));
    if let Some(bytes) = memcg.charged_bytes {
        let held = memcg.held_bytes_max.filter(|_| memcg.is_stale());
        let held = held.map(|bytes| format!(", of which it holds {} at most", Size { bytes }));
        facts.push(format!("{} charged{}", Size { bytes }, held.unwrap_or_default()));
    }
    facts.extend(memcg.css_refs.map(|refs| many(refs, "css ref")));
    facts.extend(css_freed(memcg));
    facts.extend(memcg.pinned.as_ref().map(|pinned| format!("pinned by {}", pinned::pinned(pinned))));
    facts.extend(match (memcg.slab_caches.as_deref(), memcg.held_by_caches) {
        (Some([]), true) => Some("pinned by no slab cache".to_owned()),
        (Some(names), true) => Some(format!("pinned by {}", memcg_caches::names(names))),
        (Some(names @ [_, ..]), false) => Some(format!("slab caches {}", memcg_caches::names(names))),
        (Some([]), false) | (None, _) => None,
    });
    facts.extend(done_by("created", memcg.creator.as_ref()));
    facts
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
        EventKind::Outage => "OUTAGE",
    }
}

fn style(kind: EventKind) -> Style {
    match kind {
        EventKind::Leaked | EventKind::AllocFailed => BAD,
        EventKind::Late | EventKind::Lost | EventKind::Missed | EventKind::Reconciled | EventKind::Outage => {
            WARN
        }
        EventKind::Online
        | EventKind::Removed
        | EventKind::Offline
        | EventKind::Released
        | EventKind::CssFreed
        | EventKind::Freed => Style::new(),
    }
}
