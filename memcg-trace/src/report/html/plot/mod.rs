//! Plots as SVG: pure functions from numbers to markup.
//!
//! Each is drawn twice, for a page and for a telephone, as SVG scales its text with its lines; the style sheet shows one of them.
//! Colours are those of Okabe and Ito, which colour-blind people tell apart; lines differ in their dashes as well. What is plotted
//! is also in a table or in the title of its mark.

mod axis;
mod bars;
mod columns;
mod frame;
mod lines;
mod measure;

pub use axis::{AxisUnit, short_time};
pub use bars::{Bar, bars};
pub use columns::{Column, Flow, columns, flows};
pub use lines::{Dash, LinePlot, PlotLine, lines};

use super::markup::Markup;

/// Widths that plots are drawn for, and the classes of the style sheet.
const WIDTHS: [(f64, &str); 2] = [(520.0, "plot wide"), (340.0, "plot narrow")];

/// A plot under its finding. `note`: what else must be known to read it; may be empty.
pub fn figure(markup: &mut Markup, finding: &str, note: &str, draw: impl Fn(&mut Markup, f64) -> f64) {
    markup.element("figure", &[], |markup| {
        markup.leaf("figcaption", &[], finding);
        if !note.is_empty() {
            markup.leaf("p", &[("class", "note")], note);
        }
        for (width, class) in WIDTHS {
            // The height is known once it is drawn.
            let mut inside = Markup::default();
            let height = draw(&mut inside, width);
            let view_box = format!("0 0 {width} {}", number(height));
            let attributes = [("class", class), ("viewBox", &*view_box), ("role", "img")];
            markup.element("svg", &attributes, |markup| {
                markup.leaf("title", &[], finding);
                markup.append(inside);
            });
        }
    });
    markup.line();
}

/// A coordinate: tenths of a pixel are enough.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn text(markup: &mut Markup, class: &'static str, (x, y): (f64, f64), text: &str) {
    markup.leaf("text", &[("class", class), ("x", &number(x)), ("y", &number(y))], text);
}

fn rectangle(markup: &mut Markup, class: &str, (x, y, width, height): (f64, f64, f64, f64), title: &str) {
    let [x, y, width, height] = [x, y, width, height].map(number);
    let attributes = [("class", class), ("x", &*x), ("y", &y), ("width", &width), ("height", &height)];
    markup.element("rect", &attributes, |markup| {
        if !title.is_empty() {
            markup.leaf("title", &[], title);
        }
    });
}

fn path(markup: &mut Markup, class: &str, d: &str) {
    markup.element("path", &[("class", class), ("d", d)], |_| {});
}
