//! As much of Markdown as the checks of our pages need.

/// What a page has that can be wrong, with the number of the line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub lines: usize,
    /// The lines of fenced code blocks.
    pub code: Vec<(usize, String)>,
    /// `spans` of code in the text.
    pub spans: Vec<(usize, String)>,
    /// Targets of `[links](to)`.
    pub links: Vec<(usize, String)>,
    /// What a link can name behind `#`.
    pub anchors: Vec<String>,
}

impl Page {
    pub fn parse(text: &str) -> Self {
        let mut page = Self { lines: text.lines().count(), ..Self::default() };
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if fenced {
                page.code.push((number, line.to_owned()));
            } else {
                page.text(number, line);
            }
        }
        page
    }

    fn text(&mut self, number: usize, line: &str) {
        if line.starts_with('#') {
            self.anchors.push(anchor(line.trim_start_matches('#').trim()));
        }
        // Every second piece between backticks is code.
        for (index, piece) in line.split('`').enumerate() {
            match index % 2 {
                1 => self.spans.push((number, piece.to_owned())),
                _ => {
                    let targets = piece.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
                    self.links.extend(targets.map(|(target, _)| (number, target.to_owned())));
                }
            }
        }
    }
}

/// The anchor that GitHub makes of a heading: lower case, words joined by `-`, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_parts() {
        let text = "# Is this `kernel` clean?\nSee [docs](docs/JSON.md#events), `memcg-trace scan`.\n```\n$ ls `x`\n```\n";
        let page = Page::parse(text);
        assert_eq!(page.lines, 5);
        assert_eq!(page.code, [(4, "$ ls `x`".to_owned())]);
        assert_eq!(page.spans, [(1, "kernel".to_owned()), (2, "memcg-trace scan".to_owned())]);
        assert_eq!(page.links, [(2, "docs/JSON.md#events".to_owned())]);
        assert_eq!(page.anchors, ["is-this-kernel-clean"]);
    }
}
