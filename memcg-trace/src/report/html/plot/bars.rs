//! Lying bars with names above them: however long the names are, they overlap nothing.

use super::{axis::FONT, measure, rectangle, text};
use crate::report::html::markup::Markup;

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Shortened if it has to; whole in the title.
    pub name: String,
    /// Length of the bar, of all of it.
    pub share: f64,
    /// The value in words, behind the name.
    pub value: String,
}

/// Height of a name, of a bar, and of the space behind it.
const NAME: f64 = 18.0;
const BAR: f64 = 10.0;
const SPACE: f64 = 12.0;

/// One below the other; returns the height.
pub fn bars(markup: &mut Markup, width: f64, color: &str, bars: &[Bar]) -> f64 {
    let mut y = 0.0;
    for Bar { name, share, value } in bars {
        let of_value = measure::width(value, FONT);
        let shown = measure::fitting(name, FONT, (width - of_value - 2.0 * FONT).max(width / 4.0));
        text(markup, "label", (0.0, y + FONT), &shown);
        text(markup, "value end", (width, y + FONT), value);
        let title = format!("{name}: {value}");
        rectangle(markup, "track", (0.0, y + NAME, width, BAR), &title);
        let long = (width * share.clamp(0.0, 1.0)).max(if *share > 0.0 { 2.0 } else { 0.0 });
        rectangle(markup, &format!("bar {color}"), (0.0, y + NAME, long, BAR), &title);
        y += NAME + BAR + SPACE;
    }
    y
}
