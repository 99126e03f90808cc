//! From evidence to a verdict.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Counted, Evidence, Moment, Played, Reading, Sign};

/// What is said of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every memcg went by itself, and in time.
    Clean,
    /// Memcgs stayed.
    Leak,
    /// Every memcg went by itself, but not in time.
    Late,
    /// It cannot be told.
    Inconclusive,
    /// It was not tried.
    Skipped,
}

/// What made the memcgs of a leak go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoneAfter {
    DropCaches,
    PinRemoved,
    /// Neither alone.
    PinRemovedAndDropCaches,
    Nothing,
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Why it was skipped or cannot be told; of a leak, what the other members do not say.
    pub reason: Option<String>,
    /// Memcgs that should have gone, and those of them that stayed; `None`: not known.
    pub memcgs: Option<u64>,
    pub stayed: Option<u64>,
    pub ids_held: Option<u64>,
    pub charged_pages: Option<u64>,
    /// Slab caches more than before; `None`: not counted.
    pub slab_caches: Option<u64>,
    /// Of a leak of memcgs.
    pub gone_after: Option<GoneAfter>,
    /// How long the memcgs took that went by themselves, if all did.
    pub took: Option<Duration>,
}

/// Judges. What takes longer than `late_after` to go by itself is late.
pub fn judge(evidence: &Evidence, late_after: Duration) -> Judgement {
    let (memcgs, pinned, readings, sign) = match &evidence.played {
        Played::Skipped(reason) => return Judgement::without_evidence(Verdict::Skipped, reason.clone()),
        Played::Failed(reason) => {
            let reason = format!("it could not be provoked: {reason}");
            return Judgement::without_evidence(Verdict::Inconclusive, reason);
        }
        Played::Done { memcgs, pin, readings, sign } => (*memcgs, pin.is_some(), readings, sign),
    };
    let doubt = doubt(evidence, memcgs, readings);
    let Some((removed, later)) = readings.split_first() else {
        return Judgement::without_evidence(Verdict::Inconclusive, "nothing was read".to_owned());
    };
    let stayed = removed.ledger.staying();
    let mut judgement = Judgement {
        verdict: Verdict::Inconclusive,
        reason: doubt,
        memcgs: Some(memcgs),
        stayed: Some(stayed),
        ids_held: ids_held(removed),
        charged_pages: removed.counted.walk.and_then(|walk| walk.charged_pages),
        slab_caches: None,
        gone_after: None,
        took: (stayed == 0).then_some(removed.waited),
    };
    if judgement.reason.is_some() {
        return judgement;
    }
    let gone = later.iter().find(|reading| reading.ledger.staying() == 0).map(|reading| reading.moment);
    judgement.verdict = match stayed {
        0 if removed.waited <= late_after => Verdict::Clean,
        0 => Verdict::Late,
        _ => Verdict::Leak,
    };
    if judgement.verdict == Verdict::Leak {
        judgement.reason = css_freed(removed.ledger.css_freed);
        judgement.gone_after = Some(match gone {
            Some(Moment::Dropped) => GoneAfter::DropCaches,
            Some(Moment::Unpinned) if pinned => GoneAfter::PinRemoved,
            Some(Moment::DroppedAgain) if pinned => GoneAfter::PinRemovedAndDropCaches,
            // Nothing was pinned that could be taken away: what was dropped took its time.
            Some(Moment::Unpinned | Moment::DroppedAgain) => GoneAfter::DropCaches,
            Some(Moment::Removed) | None => GoneAfter::Nothing,
        });
    }
    if let Some(sign) = sign {
        weigh(sign, evidence.cgroups, &mut judgement);
    }
    judgement
}

/// Why the evidence cannot be relied on.
fn doubt(evidence: &Evidence, memcgs: u64, readings: &[Reading]) -> Option<String> {
    if !evidence.loss.is_empty() {
        return Some(evidence.loss.join(", "));
    }
    for Reading { moment, ledger, counted, .. } in readings {
        if !counted.is_something() {
            return Some("this kernel gives nothing to compare the ledger with".to_owned());
        }
        if let Some(contradiction) = ledger.contradicted_by(counted) {
            return Some(format!("{moment}, {contradiction}"));
        }
        if ledger.created != memcgs {
            return Some(format!("{memcgs} memcgs were made, the ledger saw {} come", ledger.created));
        }
        if ledger.live > 0 {
            return Some(format!("{moment}, {} memcgs that were taken away are online", ledger.live));
        }
        if ledger.created != ledger.freed + ledger.staying() {
            return Some(format!("{moment}, the ledger saw {} of {memcgs} memcgs freed", ledger.freed));
        }
    }
    None
}

/// As the ledger has it, or as a walk found where the ledger cannot know.
fn ids_held(reading: &Reading) -> Option<u64> {
    let Counted { walk, .. } = reading.counted;
    reading.ledger.ids_held.or_else(|| walk.and_then(|walk| walk.ids_held))
}

/// The end that memcgs did not come to, where css_free is not the end.
fn css_freed(memcgs: u64) -> Option<String> {
    (memcgs > 0).then(|| format!("css_free came for {memcgs}, __mem_cgroup_free did not"))
}

/// What no memcg shows.
fn weigh(sign: &Sign, cgroups: u64, judgement: &mut Judgement) {
    match sign {
        Sign::SlabCaches(more) => {
            judgement.slab_caches = Some(*more);
            if *more >= cgroups {
                judgement.verdict = Verdict::Leak;
                judgement.add_reason(format!("{more} slab caches more than before"));
            } else if judgement.verdict != Verdict::Leak {
                judgement.verdict = Verdict::Inconclusive;
                judgement.reason =
                    Some(format!("{more} slab caches more than before, too few to be of {cgroups} cgroups"));
            }
        }
        Sign::IdGone(error) => {
            judgement.verdict = Verdict::Leak;
            judgement.add_reason(format!("no memcg ID came back: mkdir says {error}"));
        }
    }
}

impl Judgement {
    fn add_reason(&mut self, reason: String) {
        self.reason = Some(match self.reason.take() {
            Some(known) => format!("{known}; {reason}"),
            None => reason,
        });
    }

    fn without_evidence(verdict: Verdict, reason: String) -> Self {
        Self {
            verdict,
            reason: Some(reason),
            memcgs: None,
            stayed: None,
            ids_held: None,
            charged_pages: None,
            slab_caches: None,
            gone_after: None,
            took: None,
        }
    }
}

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Clean, Self::Leak, Self::Late, Self::Inconclusive, Self::Skipped];

    /// As in JSON and in files of expectations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Leak => "leak",
            Self::Late => "late",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().to_uppercase())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "after removal",
            Self::Dropped => "after drop_caches",
            Self::Unpinned => "after the pins were taken away",
            Self::DroppedAgain => "after drop_caches once more",
        })
    }
}
