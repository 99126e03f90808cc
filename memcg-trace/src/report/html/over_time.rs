//! How the counts moved.

use super::{
    markup::Markup,
    plot::{Dash, Flow, LinePlot, Series, Unit, figure, flows, lines},
    side::{Side, capitalized, grid, section as titled},
    table::{Cell, Columns},
};
use crate::{
    report::{
        text::{
            summary::ids,
            table::size,
            words::{many, or},
        },
        view::{Moment, Timeline},
    },
    units::{Count, Size, Time, UNKNOWN},
};

/// Of two runs, both axes reach as far.
struct Reach {
    dying: f64,
    ids: f64,
    charged: f64,
}

/// How far a forecast is drawn, of the time that was watched: a quarter of it.
const AHEAD: u64 = 4;

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    let peak = |of: fn(&Moment) -> Option<u64>| {
        sides.iter().filter_map(|side| side.view.timeline.peak(of)).max().unwrap_or(0) as f64
    };
    let reach = Reach {
        dying: peak(|moment| Some(moment.dying)),
        ids: peak(|moment| moment.ids_used),
        charged: peak(|moment| moment.charged_bytes),
    };
    titled(markup, "Over time", |markup| {
        grid(markup, |markup| {
            for plot in [zombies, memcg_ids, came_and_went, charged] {
                sides.iter().for_each(|side| plot(markup, side, &reach));
            }
        });
        sides.iter().for_each(|side| table(markup, side));
    });
}

fn zombies(markup: &mut Markup, side: &Side<'_>, reach: &Reach) {
    let summary = &side.view.summary;
    let finding = match (summary.dying, summary.leaked) {
        (0, _) => format!(
            "No memcg is dying at the end, {} at most",
            Count(reach_of(&side.view.timeline, |m| Some(m.dying)))
        ),
        (dying, 0) => format!("{} dying at the end, none of them leaked", many(dying, "memcg")),
        (dying, leaked) => {
            format!("{} dying at the end, {} of them leaked", many(dying, "memcg"), Count(leaked))
        }
    };
    let series = vec![
        line("dying", "blue", Dash::Solid, side, |moment| Some(moment.dying)),
        line("leaked", "vermillion", Dash::Long, side, |moment| Some(moment.leaked)),
    ];
    let plot = LinePlot { title: "memcgs", unit: Unit::Count, reaches: reach.dying, ..over(side, series) };
    draw(markup, side, &finding, &plot);
}

/// With the forecast, and the time that its trend was seen for.
fn memcg_ids(markup: &mut Markup, side: &Side<'_>, reach: &Reach) {
    let (summary, timeline) = (&side.view.summary, &side.view.timeline);
    let finding = format!("memcg IDs: {}", ids(summary));
    let Some(used) = summary.ids_used else { return side.absent(markup, &finding) };
    let mut plot = LinePlot {
        title: "memcg IDs in use",
        unit: Unit::Count,
        reaches: reach.ids,
        ..over(side, vec![line("in use", "blue", Dash::Solid, side, |moment| moment.ids_used)])
    };
    if let Some((in_ns, seen_for_ns)) = summary.ids_exhausted_in_ns.zip(summary.ids_trend_ns) {
        let end_ns = timeline.duration_ns;
        let ahead_ns = (end_ns / AHEAD).min(in_ns);
        let left = summary.ids_limit.saturating_sub(used) as f64;
        let then = used as f64 + left * ahead_ns as f64 / in_ns.max(1) as f64;
        plot.span_ns += ahead_ns;
        let points = vec![(end_ns, Some(used as f64)), (end_ns + ahead_ns, Some(then))];
        plot.series.push(Series { name: "forecast", color: "vermillion", dash: Dash::Dots, points });
        let what = format!("the trend was seen for {}", Time { ns: seen_for_ns });
        plot.shaded = Some((end_ns.saturating_sub(seen_for_ns), end_ns, what));
    }
    draw(markup, side, &finding, &plot);
}

fn came_and_went(markup: &mut Markup, side: &Side<'_>, _: &Reach) {
    let (summary, timeline) = (&side.view.summary, &side.view.timeline);
    let flow = |moment: &Moment| Flow {
        from_ns: moment.from_ns,
        to_ns: moment.to_ns,
        came: moment.rate(moment.born),
        went: moment.rate(moment.freed),
    };
    let all: Vec<Flow> = timeline.moments.iter().map(flow).collect();
    let finding = format!("{} created, {} freed", many(summary.created, "memcg"), Count(summary.freed));
    figure(markup, &side.finding(&finding), "", |markup, width| {
        flows(markup, width, ["created", "freed"], &all, timeline.duration_ns)
    });
}

fn charged(markup: &mut Markup, side: &Side<'_>, reach: &Reach) {
    let Some(bytes) = side.view.timeline.moments.last().and_then(|moment| moment.charged_bytes) else {
        return side.absent(markup, "what dying memcgs are charged for is not known for all of them");
    };
    let finding = format!("{} charged to dying memcgs at the end", Size { bytes });
    let series = vec![line("charged", "green", Dash::Solid, side, |moment| moment.charged_bytes)];
    let plot = LinePlot { title: "charged", unit: Unit::Bytes, reaches: reach.charged, ..over(side, series) };
    draw(markup, side, &finding, &plot);
}

fn draw(markup: &mut Markup, side: &Side<'_>, finding: &str, plot: &LinePlot<'_>) {
    let note = match &plot.shaded {
        Some((.., what)) => format!("Shaded: {what}. Dotted: if it goes on."),
        None => String::new(),
    };
    figure(markup, &side.finding(finding), &note, |markup, width| lines(markup, width, plot));
}

/// All that the plots of a side have in common.
fn over<'a>(side: &Side<'_>, series: Vec<Series<'a>>) -> LinePlot<'a> {
    let timeline = &side.view.timeline;
    let lost = timeline.moments.iter().filter(|moment| moment.lost > 0);
    let mark = |moment: &Moment| (moment.to_ns, format!("{} lost", many(moment.lost, "event")));
    LinePlot {
        title: "",
        unit: Unit::Count,
        reaches: 0.0,
        span_ns: timeline.duration_ns,
        series,
        shaded: None,
        marks: lost.map(mark).collect(),
    }
}

/// The state at the end of each moment; the first is as good as the start.
fn line(
    name: &'static str,
    color: &'static str,
    dash: Dash,
    side: &Side<'_>,
    of: impl Fn(&Moment) -> Option<u64>,
) -> Series<'static> {
    let moments = &side.view.timeline.moments;
    let value = |moment: &Moment| of(moment).map(|value| value as f64);
    let first = moments.first().map(|moment| (moment.from_ns, value(moment)));
    let points =
        first.into_iter().chain(moments.iter().map(|moment| (moment.to_ns, value(moment)))).collect();
    Series { name, color, dash, points }
}

fn reach_of(timeline: &Timeline, of: fn(&Moment) -> Option<u64>) -> u64 {
    timeline.peak(of).unwrap_or(0)
}

/// All that is plotted above.
fn table(markup: &mut Markup, side: &Side<'_>) {
    let moments = &side.view.timeline.moments;
    let name = side.name.map(|name| format!("{}: ", capitalized(name))).unwrap_or_default();
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], format!("{name}the numbers of these plots"));
        let columns = Columns::new([
            "UNTIL>",
            "CREATED>",
            "OFFLINE>",
            "FREED>",
            "ALLOC FAILED>",
            "LOST>",
            "DYING>",
            "LEAKED>",
            "IDS USED>",
            "CHARGED>",
        ]);
        let rows = moments.iter().map(|moment| {
            let count = |count: u64| Cell::from(Count(count).to_string());
            vec![
                Cell::from(Time { ns: moment.to_ns }.to_string()),
                count(moment.born),
                count(moment.died),
                count(moment.freed),
                count(moment.alloc_failed),
                count(moment.lost),
                count(moment.dying),
                count(moment.leaked),
                Cell::from(or(moment.ids_used.map(Count), UNKNOWN)),
                Cell::from(size(moment.charged_bytes)),
            ]
        });
        columns.table(markup, rows, moments.len() as u64, "");
    });
}
