//! For how long memcgs are dying: those that still are, and those that were freed.

use super::{
    markup::Markup,
    plot::{Column, columns, figure},
    side::{Side, grid, section as titled},
};
use crate::{
    report::{html::plot::short_time, text::words::many},
    session::{DurationClass, Durations},
    units::{Count, Time},
};

/// Bars, at least.
const CLASSES: usize = 7;

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    titled(markup, "For how long", |markup| {
        grid(markup, |markup| {
            sides.iter().for_each(|side| ages(markup, side));
            sides.iter().for_each(|side| lifetimes(markup, side));
        });
    });
}

fn ages(markup: &mut Markup, side: &Side<'_>) {
    let ages = &side.view.ages;
    let finding = match ages.longest_ns() {
        Some(ns) => format!("The oldest dying memcg has been dying for {}", Time { ns }),
        None if ages.unknown() > 0 => {
            return side
                .absent(markup, &format!("the age of {} is not known", many(ages.unknown(), "dying memcg")));
        }
        None => return side.absent(markup, "no memcg is dying"),
    };
    let unknown = match ages.unknown() {
        0 => String::new(),
        unknown => format!("Without {}, dying since before the start.", many(unknown, "memcg")),
    };
    draw(markup, side, &finding, &unknown, ("vermillion", "dying since"), ages);
}

fn lifetimes(markup: &mut Markup, side: &Side<'_>) {
    let lifetimes = &side.view.lifetimes;
    let Some(ns) = lifetimes.longest_ns() else {
        return side.absent(markup, "no memcg was freed whose dying was seen");
    };
    let finding = format!("{} freed, after {} at most", many(lifetimes.known(), "memcg"), Time { ns });
    let unknown = match lifetimes.unknown() {
        0 => String::new(),
        unknown => format!("Without {} that were seen to be freed alone.", many(unknown, "memcg")),
    };
    draw(markup, side, &finding, &unknown, ("blue", "from offline to freed"), lifetimes);
}

fn draw(
    markup: &mut Markup,
    side: &Side<'_>,
    finding: &str,
    note: &str,
    (color, title): (&str, &str),
    durations: &Durations,
) {
    let classes: Vec<DurationClass> = durations.classes().collect();
    // From the first to the last that has any, one more on both sides, and enough to see that these are few.
    let first = classes.iter().position(|class| class.count > 0).unwrap_or(0).saturating_sub(1);
    let last = classes.iter().rposition(|class| class.count > 0).unwrap_or(0);
    let end = (last + 2).max(first + CLASSES).min(classes.len());
    let shown = &classes[first.min(end.saturating_sub(CLASSES))..end];
    let column = |class: &DurationClass| Column {
        count: class.count,
        from: short_time(class.from_ns),
        title: in_words(class),
    };
    let all: Vec<Column> = shown.iter().map(column).collect();
    let end = shown.last().and_then(|class| class.before_ns).map(short_time).unwrap_or_default();
    figure(markup, &side.finding(finding), note, |markup, width| {
        columns(markup, width, color, title, &all, &end)
    });
}

fn in_words(class: &DurationClass) -> String {
    let (from, count) = (short_time(class.from_ns), Count(class.count));
    match class.before_ns {
        Some(before_ns) => format!("{from} to {}: {count}", short_time(before_ns)),
        None => format!("{from} and longer: {count}"),
    }
}
