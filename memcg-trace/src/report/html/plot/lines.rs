//! Values over time.

use super::{
    axis::{AxisUnit, FONT},
    frame::Frame,
    measure, number, path, rectangle, text,
};
use crate::report::html::markup::Markup;

/// Several series over the same time.
#[derive(Clone, Debug)]
pub struct LinePlot<'a> {
    /// What the vertical axis counts.
    pub title: &'a str,
    pub unit: AxisUnit,
    /// The vertical axis reaches at least that far.
    pub reaches: f64,
    pub span_ns: u64,
    pub series: Vec<PlotLine<'a>>,
    /// A stretch of time, and what is about it.
    pub shaded: Option<(u64, u64, String)>,
    /// Times at which something was lost, and what.
    pub marks: Vec<(u64, String)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct PlotLine<'a> {
    pub name: &'a str,
    /// Class of the style sheet: `blue`, `vermillion`, …
    pub color: &'static str,
    pub dash: Dash,
    /// Values at times since the start, ns; `None`: not known, a gap in the line.
    pub points: Vec<(u64, Option<f64>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dash {
    Solid,
    Long,
    /// What was not measured.
    Dots,
}

impl Dash {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "",
            Self::Long => "long",
            Self::Dots => "dots",
        }
    }
}

/// Length of the sample of a line in the legend, and the space between two entries.
const SAMPLE: f64 = 24.0;
const SPACE: f64 = 20.0;
const ROW: f64 = 18.0;

/// Draws it, and returns its height.
pub fn lines(markup: &mut Markup, width: f64, plot: &LinePlot<'_>) -> f64 {
    let rows = if plot.series.len() > 1 { legend(markup, width, &plot.series) } else { 0 };
    let values = plot.series.iter().flat_map(|series| &series.points).filter_map(|(_, value)| *value);
    let most = values.fold(plot.reaches, f64::max);
    // Behind the lines.
    let mut axes = Markup::default();
    let frame = Frame::draw(&mut axes, width, (plot.title, plot.unit, most, false), rows);
    if let Some((from_ns, to_ns, what)) = &plot.shaded {
        let (from, to) = (frame.x(*from_ns, plot.span_ns), frame.x(*to_ns, plot.span_ns));
        rectangle(markup, "shade", (from, frame.top, to - from, frame.bottom - frame.top), what);
    }
    markup.append(axes);
    for (at_ns, what) in &plot.marks {
        let x = frame.x(*at_ns, plot.span_ns);
        rectangle(markup, "mark", (x - 1.0, frame.top, 2.0, frame.bottom - frame.top), what);
    }
    for series in &plot.series {
        let class = format!("line {} {}", series.color, series.dash.class());
        path(markup, &class, &course(series, &frame, plot.span_ns));
    }
    frame.times(markup, plot.span_ns)
}

/// Through all points: what is counted stays until it changes. What is forecast goes straight on. A point between two gaps is
/// as long as a pixel.
fn course(series: &PlotLine<'_>, frame: &Frame, span_ns: u64) -> String {
    let (mut d, mut drawn) = (String::new(), false);
    for (at_ns, value) in &series.points {
        if let Some(value) = value {
            let (x, y) = (frame.x(*at_ns, span_ns), frame.y(*value));
            d += &match drawn {
                true if series.dash == Dash::Dots => format!("L{} {}", number(x), number(y)),
                true => format!("H{}V{}", number(x), number(y)),
                false => format!("M{} {}h1", number(x), number(y)),
            };
        }
        drawn = value.is_some();
    }
    d
}

/// Samples and names, in as many rows as it takes; returns how many.
fn legend(markup: &mut Markup, width: f64, series: &[PlotLine<'_>]) -> usize {
    let (mut x, mut row) = (0.0, 0);
    for PlotLine { name, color, dash, .. } in series {
        let wide = SAMPLE + 6.0 + measure::width(name, FONT);
        if x > 0.0 && x + wide > width {
            (x, row) = (0.0, row + 1);
        }
        let y = ROW * row as f64 + FONT;
        let class = format!("line {color} {}", dash.class());
        path(markup, &class, &format!("M{} {}h{SAMPLE}", number(x), number(y - 4.0)));
        text(markup, "label", (x + SAMPLE + 6.0, y), name);
        x += wide + SPACE;
    }
    row + 1
}
