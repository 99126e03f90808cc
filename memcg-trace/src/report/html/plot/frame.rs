//! The frame of a plot: its axes, their ticks and titles.

use super::{
    axis::{AxisUnit, FONT, Tick, time_ticks},
    measure, number, path, text,
};
use crate::report::html::markup::Markup;

/// Where in the picture the values are, in its units.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// The values at top and bottom.
    pub most: f64,
    pub least: f64,
}

/// Height of the values, and of what is above and below them.
const VALUES: f64 = 170.0;
const LINE: f64 = 18.0;
/// Between labels and axis.
const PAD: f64 = 8.0;
/// For the last label of a horizontal axis.
const RIGHT: f64 = 12.0;
/// Intervals of the vertical axis, at most.
const INTERVALS: usize = 4;

impl Frame {
    /// Draws the vertical axis from 0 up to `most` and, if `both`, down as far, with its title above. `header`: lines above
    /// that, for a legend.
    pub fn draw(
        markup: &mut Markup,
        width: f64,
        (title, unit, most, both): (&str, AxisUnit, f64, bool),
        header: usize,
    ) -> Self {
        let ticks = unit.ticks(most, if both { INTERVALS / 2 } else { INTERVALS });
        let labels: Vec<(f64, String)> = match both {
            false => ticks.iter().map(|tick| (*tick, unit.show(*tick))).collect(),
            true => {
                let below = ticks.iter().skip(1).rev().map(|tick| (-tick, unit.show(*tick)));
                below.chain(ticks.iter().map(|tick| (*tick, unit.show(*tick)))).collect()
            }
        };
        let widest = labels.iter().map(|(_, label)| measure::width(label, FONT)).fold(0.0, f64::max);
        let (least, most) = match (labels.first(), labels.last()) {
            (Some((least, _)), Some((most, _))) => (*least, *most),
            _ => (0.0, 1.0),
        };
        // A value may stand above the highest bar.
        let top = LINE * (header as f64 + 2.0);
        let frame = Self { left: widest + PAD, right: width - RIGHT, top, bottom: top + VALUES, most, least };
        text(markup, "axis", (0.0, top - LINE - 4.0), title);
        for (value, label) in labels {
            let y = frame.y(value);
            let class = if value == 0.0 { "zero" } else { "rule" };
            path(markup, class, &format!("M{} {}H{}", number(frame.left), number(y), number(frame.right)));
            text(markup, "tick end", (frame.left - PAD, y + FONT / 3.0), &label);
        }
        frame
    }

    pub fn y(&self, value: f64) -> f64 {
        let share = (value - self.least) / (self.most - self.least);
        self.bottom - share * (self.bottom - self.top)
    }

    pub fn x(&self, at_ns: u64, span_ns: u64) -> f64 {
        self.left + (self.right - self.left) * at_ns as f64 / span_ns.max(1) as f64
    }

    /// Times below the frame, from the start of the run on. Returns the height of the picture.
    pub fn times(&self, markup: &mut Markup, span_ns: u64) -> f64 {
        self.ticks(markup, &time_ticks(span_ns, self.left, self.right), "since the start")
    }

    /// Labels and a title below the frame. Returns the height of the picture.
    pub fn ticks(&self, markup: &mut Markup, ticks: &[Tick], title: &str) -> f64 {
        for tick in ticks {
            let mark = format!("M{} {}v4", number(tick.at), number(self.bottom));
            path(markup, "zero", &mark);
            if !tick.text.is_empty() {
                text(markup, "tick", (tick.left, self.bottom + LINE), &tick.text);
            }
        }
        let y = self.bottom + 2.0 * LINE;
        text(markup, "axis end", (self.right, y), title);
        y + PAD
    }
}
