//! What pins a memcg as of a look that was taken for it: each reference with who has it, and the least that frees it.

use super::ink::{Ink, InkedLine};
use crate::{
    cause::{Explanation, Pin},
    event::Key,
    report::{text, view::PartView},
    units::Count,
};

/// The result of a look.
#[derive(Clone, Debug)]
pub struct ExplainedNow {
    pub explanation: Explanation,
    pub page_bytes: u64,
}

/// Acts that have a key.
const KEYS: usize = 9;

impl ExplainedNow {
    pub fn key(&self) -> Key {
        self.explanation.key
    }

    /// What the keys 1 to 9 copy.
    pub fn commands(&self) -> Vec<&str> {
        let commands = self.explanation.parts.iter().filter_map(|part| part.act.command.as_deref());
        commands.take(KEYS).collect()
    }

    pub fn lines(&self) -> Vec<InkedLine> {
        let Explanation { refs, counted, .. } = &self.explanation;
        let unexplained = self.explanation.unexplained();
        let refs = text::many(*refs, "reference");
        let heading = match unexplained {
            _ if counted.is_none() => {
                format!("Pinned by {refs} that were found; this kernel's count cannot be read:")
            }
            0 => format!("Pinned by {refs}, all explained:"),
            unexplained => format!("Pinned by {refs}, of which {} are unexplained:", Count(unexplained)),
        };
        let mut lines = vec![(Ink::Heading, heading)];
        let mut command = 0;
        for part in &self.explanation.parts {
            let view = PartView::new(part, self.page_bytes);
            let ink = if part.pin == Pin::Unexplained { Ink::Warn } else { Ink::Plain };
            lines.push((ink, format!("{:>9}  {}", Count(part.refs).to_string(), text::part(&view))));
            let held = text::holders(&view.holders);
            if !held.is_empty() {
                lines.push((Ink::Dim, beside("", "held by", &held)));
            }
            if let Some(act) = view.act.act {
                command += usize::from(view.act.is_command);
                lines.push(match view.act.is_command {
                    true if command <= KEYS => (Ink::Good, beside(&command.to_string(), "free by", act)),
                    true => (Ink::Plain, beside("", "free by", act)),
                    false => (Ink::Plain, beside("", "to free", act)),
                });
            }
            lines.extend(view.act.advice.map(|advice| (Ink::Dim, beside("", "", advice))));
            lines.extend(view.act.costs().map(|cost| (Ink::Warn, beside("", "costs", cost))));
        }
        lines
    }
}

fn beside(key: &str, name: &str, value: &str) -> String {
    format!("{key:>9}  {name:<7}  {value}")
}
