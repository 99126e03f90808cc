//! HTML and SVG under construction.
//!
//! What can be markup is a literal of this program: tags, names of attributes, the style sheet. All else is text or a value,
//! and escaped: no name from a kernel or a recording becomes an element, ends an attribute, or turns the direction of text.

use std::fmt::{self, Display, Write as _};

use crate::deceptive::is_deceptive;

/// A document, or a part of one.
#[derive(Debug, Default)]
pub struct Markup(String);

/// Names and values. Values are escaped.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Markup {
    /// `<tag …>inside</tag>`
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.open(tag, attributes);
        inside(self);
        for part in ["</", tag, ">"] {
            self.0.push_str(part);
        }
    }

    /// An element with nothing but text in it.
    pub fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.element(tag, attributes, |markup| markup.text(text));
    }

    /// An element of HTML that has no end.
    pub fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// Text, or the value of an attribute.
    pub fn text(&mut self, text: impl Display) {
        // A String takes all.
        let _ = write!(Escaping(&mut self.0), "{text}");
    }

    /// As it is.
    pub fn literal(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// What was constructed apart.
    pub fn append(&mut self, part: Self) {
        self.0.push_str(&part.0);
    }

    pub fn line(&mut self) {
        self.0.push('\n');
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Names come without any; other texts of a recording may be anything.
                c if is_deceptive(c) || is_no_character(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// What HTML parsers call an error.
fn is_no_character(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::escape::Name;

    /// What a parser reads where `Markup` wrote text.
    fn unescape(html: &str) -> String {
        let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        entities.iter().fold(html.to_owned(), |text, (entity, c)| text.replace(entity, c))
    }

    #[test]
    fn only_literals_are_markup() {
        let mut markup = Markup::default();
        markup.element("a", &[("title", "\"><script>"), ("class", "x")], |markup| {
            markup.text("</a><b> & 'c'\u{202e}\u{7f}");
            markup.open("br", &[]);
        });
        let expected = "<a title=\"&quot;&gt;&lt;script&gt;\" class=\"x\">&lt;/a&gt;&lt;b&gt; &amp; &#39;c&#39;\u{fffd}\u{fffd}<br></a>";
        assert_eq!(markup.as_str(), expected);
    }

    proptest! {
        /// Whatever the text is, it stays within its element and its attribute, and nothing of it is lost.
        #[test]
        fn text_stays_text(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let name = Name(&bytes).to_string();
            for text in [text, name] {
                let mut markup = Markup::default();
                markup.element("p", &[("title", &text)], |markup| markup.text(&text));
                let html = markup.as_str();
                let rest = html.strip_prefix("<p title=\"").expect("the beginning");
                let (value, rest) = rest.split_once("\">").expect("the end of the attribute");
                let inside = rest.strip_suffix("</p>").expect("the end");
                for part in [value, inside] {
                    prop_assert!(!part.contains(['<', '>', '"', '\'']), "{}", html);
                    prop_assert!(!part.contains(is_deceptive), "{}", html);
                    let shown = text.replace(|c| is_deceptive(c) || is_no_character(c), "\u{fffd}");
                    prop_assert_eq!(unescape(part), shown);
                }
            }
        }
    }
}
