//! How the counts moved.

use super::{
    markup::Markup,
    plot::{AxisUnit, Dash, Flow, LinePlot, PlotLine, figure, flows, lines},
    side::{Side, capitalized, grid, section as titled},
    table::{Cell, HtmlTable},
};
use crate::{
    report::{
        text::{
            summary::{ids, listed},
            table::size,
            verdict::Deaths,
            words::{many, or},
        },
        view::Stretch,
    },
    units::{Count, Size, Time, UNKNOWN},
};

/// Of two runs, both axes reach as far.
struct AxisReach {
    dying: f64,
    ids: f64,
    charged: f64,
}

/// How far a forecast is drawn, of the time that was watched: a quarter of it.
const AHEAD: u64 = 4;

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    let peak = |of: fn(&Stretch) -> Option<u64>| {
        sides.iter().filter_map(|side| side.view.timeline.peak(of)).max().unwrap_or(0) as f64
    };
    let reach = AxisReach {
        dying: peak(|stretch| Some(stretch.dying)),
        ids: peak(|stretch| stretch.ids_used),
        charged: peak(|stretch| stretch.charged_bytes),
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

fn zombies(markup: &mut Markup, side: &Side<'_>, reach: &AxisReach) {
    let summary = &side.view.summary;
    let Deaths { pending, leaked, before } = Deaths::of(summary);
    let finding = if summary.dying == 0 {
        let most = side.view.timeline.peak(|stretch| Some(stretch.dying)).unwrap_or(0);
        format!("No memcg is dying at the end, {} at most", Count(most))
    } else {
        let parts = [(leaked, "leaked"), (before, "from before the start"), (pending, "not yet leaked")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{} {what}", Count(*count))).collect();
        let all = if parts.len() == 1 { "all " } else { "" };
        let parts = parts.join(", ");
        format!("{} dying at the end: {all}{parts}", many(summary.dying, "memcg"))
    };
    // The ledger counts those from before the start as leaked, once it has watched them for the grace time.
    let name = listed(summary).to_lowercase();
    let series = vec![
        line("dying", "blue", Dash::Solid, side, |stretch| Some(stretch.dying)),
        line(&name, "vermillion", Dash::Long, side, |stretch| Some(stretch.leaked)),
    ];
    let plot =
        LinePlot { title: "memcgs", unit: AxisUnit::Count, reaches: reach.dying, ..over(side, series) };
    draw(markup, side, &finding, &plot);
}

/// With the forecast, and the time that its trend was seen for.
fn memcg_ids(markup: &mut Markup, side: &Side<'_>, reach: &AxisReach) {
    let (summary, timeline) = (&side.view.summary, &side.view.timeline);
    let finding = format!("memcg IDs: {}", ids(summary));
    let Some(used) = summary.ids_used else { return side.absent(markup, &finding) };
    let mut plot = LinePlot {
        title: "memcg IDs in use",
        unit: AxisUnit::Count,
        reaches: reach.ids,
        ..over(side, vec![line("in use", "blue", Dash::Solid, side, |stretch| stretch.ids_used)])
    };
    if let Some((in_ns, seen_for_ns)) = summary.ids_exhausted_in_ns.zip(summary.ids_trend_ns) {
        let end_ns = timeline.duration_ns;
        let ahead_ns = (end_ns / AHEAD).min(in_ns);
        let left = summary.ids_limit.saturating_sub(used) as f64;
        let then = used as f64 + left * ahead_ns as f64 / in_ns.max(1) as f64;
        plot.span_ns += ahead_ns;
        let points = vec![(end_ns, Some(used as f64)), (end_ns + ahead_ns, Some(then))];
        plot.series.push(PlotLine { name: "forecast", color: "vermillion", dash: Dash::Dots, points });
        let what = format!("the trend was seen for {}", Time { ns: seen_for_ns });
        plot.shaded = Some((end_ns.saturating_sub(seen_for_ns), end_ns, what));
    }
    draw(markup, side, &finding, &plot);
}

fn came_and_went(markup: &mut Markup, side: &Side<'_>, _: &AxisReach) {
    let (summary, timeline) = (&side.view.summary, &side.view.timeline);
    let flow = |stretch: &Stretch| Flow {
        from_ns: stretch.from_ns,
        to_ns: stretch.to_ns,
        came: stretch.rate(stretch.born),
        went: stretch.rate(stretch.freed),
    };
    let all: Vec<Flow> = timeline.stretches.iter().map(flow).collect();
    let finding = match (summary.created, summary.freed) {
        (0, 0) => "No memcg was created, and none was freed".to_owned(),
        (created, freed) => format!("{} created, {} freed", many(created, "memcg"), Count(freed)),
    };
    figure(markup, &side.finding(&finding), "", |markup, width| {
        flows(markup, width, ["created", "freed"], &all, timeline.duration_ns)
    });
}

fn charged(markup: &mut Markup, side: &Side<'_>, reach: &AxisReach) {
    let Some(bytes) = side.view.timeline.stretches.last().and_then(|stretch| stretch.charged_bytes) else {
        return side.absent(markup, "what dying memcgs are charged for is not known for all of them");
    };
    let finding = format!("{} charged to dying memcgs at the end", Size { bytes });
    let series = vec![line("charged", "green", Dash::Solid, side, |stretch| stretch.charged_bytes)];
    let plot =
        LinePlot { title: "charged", unit: AxisUnit::Bytes, reaches: reach.charged, ..over(side, series) };
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
fn over<'a>(side: &Side<'_>, series: Vec<PlotLine<'a>>) -> LinePlot<'a> {
    let timeline = &side.view.timeline;
    let lost = timeline.stretches.iter().filter(|stretch| stretch.lost > 0);
    let mark = |stretch: &Stretch| (stretch.to_ns, format!("{} lost", many(stretch.lost, "event")));
    LinePlot {
        title: "",
        unit: AxisUnit::Count,
        reaches: 0.0,
        span_ns: timeline.duration_ns,
        series,
        shaded: None,
        marks: lost.map(mark).collect(),
    }
}

/// The state at the end of each stretch; the first is as good as the start.
fn line<'a>(
    name: &'a str,
    color: &'static str,
    dash: Dash,
    side: &Side<'_>,
    of: impl Fn(&Stretch) -> Option<u64>,
) -> PlotLine<'a> {
    let stretches = &side.view.timeline.stretches;
    let known = stretches.iter().skip_while(|stretch| stretch.before_walk);
    let value = |stretch: &Stretch| of(stretch).map(|value| value as f64);
    let first = known.clone().next().map(|stretch| (stretch.from_ns, value(stretch)));
    let points = first.into_iter().chain(known.map(|stretch| (stretch.to_ns, value(stretch)))).collect();
    PlotLine { name, color, dash, points }
}

/// All that is plotted above.
fn table(markup: &mut Markup, side: &Side<'_>) {
    let stretches = &side.view.timeline.stretches;
    let name = side.name.map(|name| format!("{}: ", capitalized(name))).unwrap_or_default();
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], format!("{name}the numbers of these plots"));
        let table = HtmlTable::new([
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
        let rows = stretches.iter().map(|stretch| {
            let count = |count: u64| Cell::from(Count(count).to_string());
            let known = |count: Option<u64>| count.filter(|_| !stretch.before_walk).map(Count);
            let state = |count: Option<u64>| Cell::from(or(known(count), UNKNOWN));
            vec![
                Cell::from(Time { ns: stretch.to_ns }.to_string()),
                count(stretch.born),
                count(stretch.died),
                count(stretch.freed),
                count(stretch.alloc_failed),
                count(stretch.lost),
                state(Some(stretch.dying)),
                state(Some(stretch.leaked)),
                state(stretch.ids_used),
                Cell::from(size(stretch.charged_bytes.filter(|_| !stretch.before_walk))),
            ]
        });
        table.write(markup, rows, stretches.len() as u64, "");
    });
}
