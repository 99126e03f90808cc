//! A README in another language is in step with README.md: the same sections, and in each the same command lines.

/// A section: the level of its heading, and the command lines in its code blocks.
type Section<'a> = (usize, Vec<&'a str>);

/// Words that begin a command line.
const PROGRAMS: &[&str] = &["$", "apt", "cargo", "dnf", "memcg-trace", "podman", "tar"];

/// What the translation lacks, or has beside it: each section that differs, by its place.
pub fn objections(original: &str, translation: &str) -> Vec<String> {
    let (original, translation) = (sections(original), sections(translation));
    let mut objections = Vec::new();
    if original.len() != translation.len() {
        objections.push(format!("{} sections instead of {}", translation.len(), original.len()));
    }
    for (place, (ours, theirs)) in original.iter().zip(&translation).enumerate() {
        if ours.0 != theirs.0 {
            objections
                .push(format!("section {place} has a heading of level {} instead of {}", theirs.0, ours.0));
        }
        let missing = ours.1.iter().filter(|line| !theirs.1.contains(line));
        objections.extend(missing.map(|line| format!("section {place} lacks `{line}`")));
        let more = theirs.1.iter().filter(|line| !ours.1.contains(line));
        objections
            .extend(more.map(|line| format!("section {place} has `{line}`, which the original has not")));
    }
    objections
}

/// The sections of a page, each from its heading to the next.
fn sections(page: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('#') {
            sections.push((line.len() - line.trim_start_matches('#').len(), Vec::new()));
        } else if fenced
            && let Some((_, commands)) = sections.last_mut()
            && line.split(' ').next().is_some_and(|word| PROGRAMS.contains(&word))
        {
            // What follows `#` is a comment, for a reader.
            commands.push(line.split(" #").next().unwrap_or(line).trim_end());
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str =
        "# Tool\n\n## Install\n\n```\ncargo xtask run   # builds it\nsays this\n```\n\n## Use\n";

    #[test]
    fn comments_and_prose_may_differ() {
        let translation = "# 工具\n\n## 安装\n\n```\ncargo xtask run # 编译\n说这个\n```\n\n## 用法\n";
        assert_eq!(objections(ORIGINAL, translation), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_and_what_is_too_much() {
        let translation = "# 工具\n\n### 安装\n\n```\ncargo xtask test\n```\n";
        assert_eq!(
            objections(ORIGINAL, translation),
            [
                "2 sections instead of 3",
                "section 1 has a heading of level 3 instead of 2",
                "section 1 lacks `cargo xtask run`",
                "section 1 has `cargo xtask test`, which the original has not",
            ]
        );
    }
}
