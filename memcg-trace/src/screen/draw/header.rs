//! What is told of the whole node: IDs, counts, whether they can be trusted, and their course.

use ratatui::layout::Rect;

use super::{Pen, row};
use crate::{
    report::{escape::Name, text},
    screen::{PlaybackStatus, Screen, Status, ink::Ink, sparkline::sparkline},
    session::{Bucket, History},
    units::{Count, Size, Time, TimeOfDay, UNKNOWN},
};

/// Columns of the gauge.
const GAUGE: usize = 20;
const HOUR_NS: u64 = 3_600_000_000_000;
const S_NS: u64 = 1_000_000_000;

pub fn header(screen: &Screen, pen: &mut Pen<'_, '_>) {
    let (status, areas) = (&*screen.status, screen.areas());
    pen.line(areas.title, title(screen));
    pen.line(areas.ids, ids(status));
    pen.line(areas.counts, counts(status));
    pen.line(areas.verdict, verdict(status));
    let plots = [
        Plot { ink: Ink::Good, name: "births", now: None, of: |bucket| bucket.born },
        Plot { ink: Ink::Note, name: "deaths", now: None, of: |bucket| bucket.freed },
        Plot { ink: Ink::Warn, name: "zombies", now: Some(status.totals.dying), of: |bucket| bucket.dying },
    ];
    for (plot, area) in plots.into_iter().zip(areas.plots) {
        plot.draw(&status.history, area, pen);
    }
}

/// A course of counts.
struct Plot {
    ink: Ink,
    name: &'static str,
    /// The count now; `None`: of what happens, which has a rate.
    now: Option<u64>,
    of: fn(&Bucket) -> u64,
}

impl Plot {
    /// `births 2.0/s  █ 4 in 1s`, and blocks below.
    fn draw(&self, history: &History, area: Rect, pen: &mut Pen<'_, '_>) {
        if area.height < 2 {
            return;
        }
        let values: Vec<u64> = history.buckets().iter().map(self.of).collect();
        let shown = &values[values.len().saturating_sub(area.width.into())..];
        let most = Count(shown.iter().max().copied().unwrap_or_default());
        let width_ns = history.width_ns();
        let (now, scale) = match self.now {
            Some(now) => (Count(now).to_string(), format!("  █ {most}")),
            None => (rate(&values, width_ns), format!("  █ {most} in {}", Time { ns: width_ns })),
        };
        pen.line(area, [(Ink::Heading, format!("{} {now}", self.name)), (Ink::Dim, scale)]);
        let blocks = sparkline(&values, area.width.into(), usize::from(area.height) - 1);
        for (line, blocks) in blocks.into_iter().enumerate() {
            pen.line(row(area, line + 1), [(self.ink, blocks)]);
        }
    }
}

/// Of the last bucket that is over.
fn rate(values: &[u64], width_ns: u64) -> String {
    let whole = values.iter().rev().nth(1).or(values.last()).copied().unwrap_or_default();
    let tenths = u128::from(whole) * 10 * u128::from(S_NS) / u128::from(width_ns);
    format!("{}.{}/s", tenths / 10, tenths % 10)
}

fn title(screen: &Screen) -> Vec<(Ink, String)> {
    let status = &*screen.status;
    let start = &status.start;
    let time = TimeOfDay { ns: status.clock().real_ns(status.now_ns) }.to_string();
    let seconds = time.split('.').next().unwrap_or_default();
    let mut title = vec![(Ink::Heading, "memcg-trace".to_owned())];
    match &status.playback {
        Some(playback) => title.push(replaying(playback)),
        None if screen.paused => title.push((Ink::Warn, "  PAUSED".to_owned())),
        None => {}
    }
    // Of a recording, which anybody may have written.
    let (kernel, controller) = (Name(start.kernel.as_bytes()), Name(start.controller.as_bytes()));
    let run = Time { ns: status.now_ns.saturating_sub(start.started_ns) };
    title.push((Ink::Plain, format!("  {seconds} UTC, {run} since the start")));
    title.push((Ink::Dim, format!("  Linux {kernel}, {controller}, {} backend", start.backend)));
    title
}

/// `  REPLAY 12.5s of 1m0s playing ×10`
fn replaying(playback: &PlaybackStatus) -> (Ink, String) {
    let PlaybackStatus { started_ns, at_ns, ended_ns, playing, speed, damage } = playback;
    let since = |ns: &u64| Time { ns: ns.saturating_sub(*started_ns) };
    let state = if *playing { format!("playing ×{speed}") } else { format!("stopped ×{speed}") };
    let end = match damage {
        Some(damage) => format!(" (then {damage})"),
        None => String::new(),
    };
    let ink = if damage.is_some() { Ink::Bad } else { Ink::Note };
    (ink, format!("  REPLAY {} of {}{end} {state}", since(at_ns), since(ended_ns)))
}

/// `IDs ███░░░ 12,345 of 65,535, 2,345 held by zombies; all in use in 2h5m`
fn ids(status: &Status) -> Vec<(Ink, String)> {
    let ids = &status.ids;
    let Some(used) = ids.used else {
        return vec![(Ink::Warn, "IDs  in use: not known here".to_owned())];
    };
    let ink = match used * 100 / ids.limit.max(1) {
        0..50 => Ink::Good,
        50..80 => Ink::Warn,
        _ => Ink::Bad,
    };
    // Any use is seen.
    let full = (used * GAUGE as u64).div_ceil(ids.limit.max(1)).min(GAUGE as u64) as usize;
    let gauge = "█".repeat(full) + &"░".repeat(GAUGE - full);
    let share = used * 1_000 / ids.limit.max(1);
    let held = ids.held_by_dying.map(|held| format!(", {} held by zombies", Count(held))).unwrap_or_default();
    let text = format!(" {} of {} ({}.{}%){held}", Count(used), Count(ids.limit), share / 10, share % 10);
    let forecast = match &ids.exhaustion {
        None => (Ink::Dim, "; no trend".to_owned()),
        Some(exhaustion) => {
            let ink = match exhaustion.in_ns {
                0..HOUR_NS => Ink::Bad,
                _ => Ink::Warn,
            };
            let (left, trend) = (Time { ns: exhaustion.in_ns }, Time { ns: exhaustion.seen_for_ns });
            (ink, format!("; all in use in {left} (trend of {trend})"))
        }
    };
    vec![(Ink::Heading, "IDs ".to_owned()), (ink, gauge), (Ink::Plain, text), forecast]
}

fn counts(status: &Status) -> Vec<(Ink, String)> {
    let totals = &status.totals;
    let leaked = if totals.leaked > 0 { Ink::Bad } else { Ink::Good };
    let charged = status.charged_bytes.map_or_else(|| UNKNOWN.to_owned(), |bytes| Size { bytes }.to_string());
    let count =
        |ink, count, name: &str| [(Ink::Plain, format!("{name} ")), (ink, format!("{}  ", Count(count)))];
    let mut counts = Vec::from(count(Ink::Heading, totals.live, "live"));
    counts.extend(count(Ink::Heading, totals.dying, "dying"));
    counts.extend(count(leaked, totals.leaked, "leaked"));
    let failed: u64 = totals.alloc_failed.values().sum();
    if totals.late > 0 {
        counts.extend(count(Ink::Warn, totals.late, "late"));
    }
    if failed > 0 {
        counts.extend(count(Ink::Bad, failed, "alloc failed"));
    }
    counts.extend([(Ink::Plain, "charged to zombies ".to_owned()), (Ink::Heading, format!("{charged}  "))]);
    counts.extend(count(Ink::Plain, totals.created, "created"));
    counts.extend(count(Ink::Plain, totals.freed, "freed"));
    counts
}

/// Whether the counts can be trusted, else why not.
fn verdict(status: &Status) -> Vec<(Ink, String)> {
    let totals = &status.totals;
    let lost = [
        (totals.lost_events, "event lost", "events lost"),
        (totals.missed_firings, "firing missed", "firings missed"),
        (totals.unidentified, "event without a memcg", "events without a memcg"),
        (totals.outages, "outage", "outages"),
    ];
    let lost = lost.into_iter().filter(|(count, ..)| *count > 0);
    let lost =
        lost.map(|(count, one, many)| format!("{} {}", Count(count), if count == 1 { one } else { many }));
    let lost = lost.collect::<Vec<_>>().join(", ");
    let mut verdict = vec![match (status.conclusive, lost.as_str()) {
        _ if let Some(damage) = status.cut_off() => (Ink::Bad, format!("INCONCLUSIVE: {damage}")),
        (true, "") => (Ink::Good, "conclusive: nothing lost or missed".to_owned()),
        (true, lost) => (Ink::Good, format!("conclusive: a walk has reconciled the loss ({lost})")),
        (false, lost) => (Ink::Bad, format!("INCONCLUSIVE: {lost}")),
    }];
    if status.names_missing > 0 {
        verdict.push((Ink::Warn, format!("; {} without names", text::many(status.names_missing, "memcg"))));
    }
    let unknown = status.start.unknown.iter().map(|(what, _)| Name(what.as_bytes()).to_string());
    let unknown: Vec<String> = unknown.collect();
    if !unknown.is_empty() {
        verdict.push((Ink::Warn, format!("; unknown: {}", unknown.join(", "))));
    }
    if status.start.dying_unseen.is_none_or(|unseen| unseen > 0) {
        verdict.push((Ink::Warn, "; zombies from before the start are not listed".to_owned()));
    }
    verdict
}
