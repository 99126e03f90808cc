//! HTML: one file that needs nothing else, neither a script nor the network.
//!
//! The words are those of the text output; what is new is the headline, for people who do not know what a memcg is, and the titles
//! of plots.

mod changed;
mod frame;
mod headline;
mod leaks;
mod lengths;
mod markup;
mod measured;
mod over_time;
mod owners;
mod pins;
mod plot;
mod side;
mod table;
mod tiles;
mod verify;

use std::io::{self, Write};

pub use self::verify::verify;
use self::{markup::Markup, side::Side};
use super::view::ReportView;

/// A run, or two of them side by side; what changed between these first.
pub fn report(
    out: &mut impl Write,
    view: &ReportView<'_>,
    before: Option<&ReportView<'_>>,
) -> io::Result<()> {
    let sides = match before {
        Some(before) => vec![Side::new("before", before), Side::new("after", view)],
        None => vec![Side::only(view)],
    };
    let (tone, headline) = match before {
        Some(before) => headline::of_two(before, view),
        None => headline::of(view),
    };
    let mut page = Markup::default();
    frame::page(&mut page, &headline, |page| {
        frame::head(page, tone, &headline, &sides);
        match sides.as_slice() {
            [only] => tiles::tiles(page, only.view),
            _ => changed::changed(page, &sides),
        }
        over_time::section(page, &sides);
        owners::section(page, &sides);
        pins::section(page, &sides);
        lengths::section(page, &sides);
        leaks::section(page, &sides);
        measured::remedies(page, view);
        measured::section(page, &sides);
        measured::reproduce(page, &sides);
    });
    out.write_all(page.as_str().as_bytes())
}
