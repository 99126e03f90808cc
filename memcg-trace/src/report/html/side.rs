//! The runs of a report: one, or one before and one after a change.

use super::markup::Markup;
use crate::report::view::ReportView;

/// A run, and what it is called beside another.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub name: Option<&'static str>,
    pub view: &'a ReportView<'a>,
}

impl<'a> Side<'a> {
    pub fn only(view: &'a ReportView<'a>) -> Self {
        Self { name: None, view }
    }

    pub fn new(name: &'static str, view: &'a ReportView<'a>) -> Self {
        Self { name: Some(name), view }
    }

    /// The finding, and whose it is.
    pub fn finding(&self, finding: &str) -> String {
        match self.name {
            Some(name) => format!("{}: {finding}", capitalized(name)),
            None => finding.to_owned(),
        }
    }

    /// How to get what a table leaves out.
    pub fn has_all(&self) -> &'static str {
        match self.view.recording {
            Some(_) => "memcg-trace replay -o json has all",
            None => "memcg-trace trace -o json has all",
        }
    }

    /// A heading above what is not a plot, where there are two.
    pub fn heading(&self, markup: &mut Markup) {
        if let Some(name) = self.name {
            markup.leaf("h3", &[("class", "side")], capitalized(name));
        }
    }

    /// A heading above a list, one level below whatever is above it.
    pub fn list(&self, markup: &mut Markup, heading: &str) {
        let tag = if self.name.is_some() { "h4" } else { "h3" };
        markup.leaf(tag, &[], heading);
    }

    /// In place of a plot, why there is none.
    pub fn absent(&self, markup: &mut Markup, why: &str) {
        markup.leaf("p", &[("class", "absent")], self.finding(why));
    }
}

/// A section with its heading.
pub fn section(markup: &mut Markup, heading: &str, inside: impl FnOnce(&mut Markup)) {
    markup.element("section", &[], |markup| {
        markup.leaf("h2", &[], heading);
        inside(markup);
    });
    markup.line();
}

/// Plots side by side, where there is room.
pub fn grid(markup: &mut Markup, inside: impl FnOnce(&mut Markup)) {
    markup.element("div", &[("class", "grid")], inside);
}

pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
