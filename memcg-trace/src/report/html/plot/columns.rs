//! Upright bars: how many there are of each class, and what came and went over time.

use super::{
    axis::{AxisUnit, FONT, place},
    frame::Frame,
    measure, number, path, rectangle, text,
};
use crate::report::html::markup::Markup;

/// A bar of a histogram.
#[derive(Clone, Debug)]
pub struct Column {
    pub count: u64,
    /// What its class begins with; shown below its left edge.
    pub from: String,
    /// The whole of it, in words.
    pub title: String,
}

/// Between two bars.
const GAP: f64 = 3.0;

/// A histogram; `title`: of the horizontal axis, `end`: what the last class ends with. Returns its height.
pub fn columns(
    markup: &mut Markup,
    width: f64,
    color: &str,
    title: &str,
    columns: &[Column],
    end: &str,
) -> f64 {
    let most = columns.iter().map(|column| column.count).max().unwrap_or(0) as f64;
    let frame = Frame::draw(markup, width, ("memcgs", AxisUnit::Count, most, false), 0);
    let wide = (frame.right - frame.left) / columns.len().max(1) as f64;
    let left = |place: usize| frame.left + wide * place as f64;
    for (place, column) in columns.iter().enumerate().filter(|(_, column)| column.count > 0) {
        let y = frame.y(column.count as f64);
        // A single memcg among thousands is seen, too.
        let height = (frame.bottom - y).max(1.5);
        let bar = (left(place) + GAP / 2.0, frame.bottom - height, wide - GAP, height);
        rectangle(markup, &format!("bar {color}"), bar, &column.title);
        let count = AxisUnit::Count.show(column.count as f64);
        let middle = left(place) + (wide - measure::width(&count, FONT)) / 2.0;
        if measure::width(&count, FONT) < wide {
            text(markup, "value", (middle, frame.bottom - height - 4.0), &count);
        }
    }
    let edges = columns.iter().map(|column| column.from.clone()).chain([end.to_owned()]);
    let labels: Vec<(f64, String)> = edges.enumerate().map(|(edge, label)| (left(edge), label)).collect();
    frame.ticks(markup, &place(&labels, 0.0, width), title)
}

/// What came and what went in a stretch of time, a second.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub from_ns: u64,
    pub to_ns: u64,
    pub came: f64,
    pub went: f64,
}

/// What came upwards, what went downwards. Returns its height.
pub fn flows(markup: &mut Markup, width: f64, [came, went]: [&str; 2], flows: &[Flow], span_ns: u64) -> f64 {
    let most = flows.iter().map(|flow| flow.came.max(flow.went)).fold(0.0, f64::max);
    let frame = Frame::draw(markup, width, ("memcgs a second", AxisUnit::Rate, most, true), 1);
    let entries = [(came, "blue"), (went, "orange")];
    let mut x = 0.0;
    for (name, color) in entries {
        rectangle(markup, &format!("bar {color}"), (x, 3.0, 10.0, 10.0), "");
        text(markup, "label", (x + 16.0, FONT), name);
        x += 36.0 + measure::width(name, FONT);
    }
    for (color, sign, of) in
        [("blue", 1.0, (|flow| flow.came) as fn(&Flow) -> f64), ("orange", -1.0, |flow| flow.went)]
    {
        let mut d = String::new();
        for flow in flows.iter().filter(|flow| of(flow) > 0.0) {
            let [from, to] = [flow.from_ns, flow.to_ns].map(|ns| frame.x(ns, span_ns));
            let [zero, end] = [0.0, sign * of(flow)].map(|rate| frame.y(rate));
            d += &format!(
                "M{} {}V{}H{}V{}z",
                number(from),
                number(zero),
                number(end),
                number(to.max(from + 0.5)),
                number(zero)
            );
        }
        path(markup, &format!("bar {color}"), &d);
    }
    frame.times(markup, span_ns)
}
