//! The verdict on a run.

use anstyle::Style;

use super::{BAD, GOOD, WARN, words::many};
use crate::report::view::{SlabSummary, SummaryView};

/// Factor for suggesting a larger perf buffer.
const LARGER: u64 = 4;

/// How a sentence is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Warn,
    Bad,
}

impl Tone {
    pub fn style(self) -> Style {
        match self {
            Self::Good => GOOD,
            Self::Warn => WARN,
            Self::Bad => BAD,
        }
    }
}

/// The dying memcgs, each in one of them.
pub struct Deaths {
    /// They died since the start, and not for long enough to be leaked.
    pub pending: u64,
    /// They died since the start.
    pub leaked: u64,
    /// They were found dying: who knows since when.
    pub before: u64,
}

impl Deaths {
    pub fn of(summary: &SummaryView<'_>) -> Self {
        let before = summary.dying_before_start;
        let leaked = summary.leaked.saturating_sub(summary.leaked_before_start);
        Self { pending: summary.dying.saturating_sub(before + leaked), leaked, before }
    }
}

/// The verdict, in one sentence. Only says that there is no leak if nothing was missed.
pub fn verdict(summary: &SummaryView<'_>) -> (Tone, String) {
    // Memcgs that died before the start are mentioned, but do not count as leaks of this run.
    let Deaths { pending, leaked, before } = Deaths::of(summary);
    if !summary.conclusive {
        let mut verdict = "Inconclusive: ".to_owned();
        verdict += &match leaked {
            0 => "leaks may have been missed".to_owned(),
            1 => "1 memcg looks leaked, but its release may have been missed".to_owned(),
            _ => {
                format!("{} look leaked, but their release may have been missed", many(leaked, "memcg"))
            }
        };
        if summary.lost_events > 0 {
            verdict += "; try a larger buffer, --perf-pages";
            verdict += &summary.perf_pages.map(|pages| format!(" {}", pages * LARGER)).unwrap_or_default();
        }
        return (Tone::Warn, verdict);
    }
    let pending = pending + summary.removed;
    // Nobody looked what became of them.
    let unseen = summary.dying_unseen.unwrap_or(0);
    let (tone, mut verdict) = match (leaked, before + unseen, pending, summary.late) {
        (1.., ..) => (Tone::Bad, format!("{} leaked.", many(leaked, "memcg"))),
        (0, _, 1.., _) => (Tone::Warn, format!("No leak yet, but {} still dying.", were(pending))),
        (0, 1.., 0, 0) => (Tone::Warn, "Every memcg removed since the start was freed in time.".to_owned()),
        (0, 1.., 0, 1..) => (Tone::Warn, format!("{} late.", were(summary.late))),
        (0, 0, 0, _) if !summary.lower_bounds.is_empty() => {
            let unseen = match summary.outages {
                0 => "events were lost",
                _ => "nothing was recorded",
            };
            let verdict = format!(
                "No memcg that exists is leaked; those that came and went while {unseen} were not seen."
            );
            (Tone::Warn, verdict)
        }
        (0, 0, 0, 1..) => (Tone::Good, format!("No leak, but {} late.", were(summary.late))),
        (0, 0, 0, 0) => {
            (Tone::Good, "No leak: every memcg removed since the start was freed in time.".to_owned())
        }
    };
    if before > 0 {
        let still = if before == 1 { "is" } else { "are" };
        verdict += &format!(" {} dying before the start and still {still}.", were(before));
    }
    if unseen > 0 {
        verdict += &format!(" {} dying before the start; what became of them was not seen.", were(unseen));
    }
    if let Some(slab @ SlabSummary { leaked: 1.., .. }) = &summary.slab {
        verdict += &format!(" {} leaked.", many(slab.leaked, "slab cache"));
        return (Tone::Bad, verdict);
    }
    if summary.alloc_failed > 0 {
        verdict += &format!(" {} could not be created.", many(summary.alloc_failed, "memcg"));
        return (Tone::Bad, verdict);
    }
    (tone, verdict)
}

/// `1 memcg was`, `2 memcgs were`
fn were(count: u64) -> String {
    format!("{} {}", many(count, "memcg"), if count == 1 { "was" } else { "were" })
}
