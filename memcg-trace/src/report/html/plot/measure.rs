//! How wide text is, before a browser shows it: an upper bound for the common sans-serif fonts (Arial, Helvetica, Roboto,
//! Segoe UI, DejaVu Sans), by classes of characters.

use crate::report::text::fit;

/// Of `text`, in units of the plot.
pub fn width(text: &str, font_size: f64) -> f64 {
    text.chars().map(ems).sum::<f64>() * font_size
}

fn ems(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.34,
        'f' | 'r' | 't' | 'I' | '(' | ')' | '[' | ']' | '/' | '\\' | '-' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' | '&' | '+' | '=' | '<' | '>' | '~' | '^' | '$' | '#' => 0.78,
        c if c.is_ascii() => 0.64,
        // Letters with accents, Greek and Cyrillic; whatever else there is may be as wide as it is high.
        '\u{a0}'..='\u{52f}' => 0.8,
        _ => 1.1,
    }
}

/// The text, or its beginning and end, so that it is no wider than `most`.
pub fn fitting(text: &str, font_size: f64, most: f64) -> String {
    let mut columns = text.chars().count();
    let mut fitted = text.to_owned();
    while width(&fitted, font_size) > most && columns > 1 {
        columns -= 1;
        fitted = fit::path(text, columns);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_whole() {
        let path = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6a4ce4a0.slice";
        assert_eq!(fitting(path, 12.0, 2_000.0), path);
        for most in [300.0, 120.0, 40.0] {
            let cut = fitting(path, 12.0, most);
            assert!(width(&cut, 12.0) <= most && cut.contains('…'), "{cut}");
        }
        assert_eq!(fitting("日本", 12.0, 5.0), "…");
    }
}
