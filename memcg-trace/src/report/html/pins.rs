//! What pins them, and how much memory that is.

use super::{
    markup::Markup,
    owners::note,
    plot::{Bar, bars, figure},
    side::{Side, grid, section as titled},
    table::{Cell, HtmlTable},
};
use crate::{
    cause::PinTotal,
    report::{
        text::{
            summary::listed,
            words::{many, or},
        },
        view::{CachePin, HeldBy, LargestPin},
    },
    units::{Count, Size},
};

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    titled(markup, "What pins them", |markup| {
        grid(markup, |markup| {
            for plot in [kinds, held, things] {
                sides.iter().for_each(|side| plot(markup, side));
            }
        });
        sides.iter().for_each(|side| table(markup, side));
    });
}

/// By what refers to them, or where memcgs have slab caches of their own, by these.
fn kinds(markup: &mut Markup, side: &Side<'_>) {
    let summary = &side.view.summary;
    let all = summary.leaked as f64;
    let bar = |name: String, memcgs: u64, value: String| Bar { name, share: memcgs as f64 / all, value };
    let by_refs = summary.pins.iter().flatten().map(|PinTotal { pin, refs, memcgs }| {
        bar(
            pin.name().to_owned(),
            *memcgs,
            format!("{}, {}", many(*memcgs, "memcg"), many(*refs, "reference")),
        )
    });
    let by_cache = summary.pinned_by.iter().flatten().map(|CachePin { cache, memcgs }| {
        bar(format!("slab cache {cache}"), *memcgs, many(*memcgs, "memcg"))
    });
    let mut all: Vec<Bar> = by_refs.chain(by_cache).collect();
    let Some(first) = all.first() else {
        let why =
            if summary.leaked == 0 { "nothing leaked" } else { "it was not looked at what refers to them" };
        return side.absent(markup, why);
    };
    let finding = format!("{}, by kind: {} pins {}", listed(summary), first.name, first.value);
    let note = note(&mut all, "kinds");
    figure(markup, &side.finding(&finding), &note, |markup, width| bars(markup, width, "orange", &all));
}

/// Memory by the kind of the largest pin.
fn held(markup: &mut Markup, side: &Side<'_>) {
    let held = &side.view.held;
    let total: u64 = held.iter().map(|held| held.bytes).fold(0, u64::saturating_add);
    let known: u64 = held.iter().map(|held| held.memcgs - held.unknown.min(held.memcgs)).sum();
    if known == 0 {
        return;
    }
    let name = |held: &HeldBy| held.pin.map_or("not looked at", |pin| pin.name()).to_owned();
    let value = |held: &HeldBy| {
        let unknown = match held.unknown {
            0 => String::new(),
            unknown => format!(", {} not known", Count(unknown)),
        };
        format!("{} in {}{unknown}", Size { bytes: held.bytes }, many(held.memcgs, "memcg"))
    };
    let share = |held: &HeldBy| held.bytes as f64 / total.max(1) as f64;
    let mut all: Vec<Bar> =
        held.iter().map(|held| Bar { name: name(held), share: share(held), value: value(held) }).collect();
    let finding = format!("{} held by dying memcgs at most, by their largest pin", Size { bytes: total });
    let note = note(&mut all, "kinds");
    figure(markup, &side.finding(&finding), &note, |markup, width| bars(markup, width, "green", &all));
}

fn things(markup: &mut Markup, side: &Side<'_>) {
    let things = &side.view.largest_pins;
    let Some(first) = things.first() else { return };
    let looked_at: u64 = things.iter().map(|thing| thing.memcgs).sum();
    let bar = |thing: &LargestPin<'_>| Bar {
        name: name(thing),
        share: thing.memcgs as f64 / looked_at as f64,
        value: many(thing.memcgs, "memcg"),
    };
    let of = many(looked_at, "memcg");
    let finding = format!("{} is the largest pin of {} of {of}", name(first), Count(first.memcgs));
    let mut all: Vec<Bar> = things.iter().take(500).map(bar).collect();
    let note = note(&mut all, "things");
    figure(markup, &side.finding(&finding), &note, |markup, width| bars(markup, width, "sky", &all));
}

/// `tmpfs file /dev/shm/export.csv`
fn name(thing: &LargestPin<'_>) -> String {
    format!("{} {}", thing.pin.name(), or(thing.what, "")).trim_end().to_owned()
}

/// Things by name, with who could let go of them.
fn table(markup: &mut Markup, side: &Side<'_>) {
    let things = &side.view.largest_pins;
    if things.is_empty() {
        return;
    }
    side.heading(markup);
    side.list(markup, "The largest pin of each dying memcg");
    let table = HtmlTable::new(["MEMCGS>", "BY<", "WHAT~", "HELD BY<"]).few();
    let rows = things.iter().map(|thing| {
        let mut holder = or(thing.holder.map(|holder| format!("{} (pid {})", holder.comm, holder.pid)), "-");
        if let more @ 1.. = thing.holders.saturating_sub(1) {
            holder += &format!(" and {} more", Count(more));
        }
        let cells =
            [Count(thing.memcgs).to_string(), thing.pin.name().to_owned(), or(thing.what, "-"), holder];
        cells.map(Cell::from).to_vec()
    });
    table.write(markup, rows, things.len() as u64, side.has_all());
}
