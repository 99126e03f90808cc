//! From evidence to a verdict.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Counted, Evidence, Moment, PinsNamed, Played, Reading, Sign};
use crate::cause::PinTotal;

/// The verdict on a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every memcg was freed by itself, and in time.
    Clean,
    /// Some memcgs were not freed.
    Leak,
    /// Every memcg was freed by itself, but late.
    Late,
    /// The evidence is not reliable.
    Inconclusive,
    /// The scenario was not run.
    Skipped,
}

/// The step after which the leaked memcgs were freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoneAfter {
    DropCaches,
    PinRemoved,
    /// Both were needed.
    PinRemovedAndDropCaches,
    Nothing,
}

/// A verdict and the numbers behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Why it was skipped or is inconclusive; for a leak, details that the other fields do not have.
    pub reason: Option<String>,
    /// Memcgs that should have been freed, and the number that were not; `None`: unknown.
    pub memcgs: Option<u64>,
    pub stayed: Option<u64>,
    pub ids_held: Option<u64>,
    pub charged_pages: Option<u64>,
    pub held_bytes_max: Option<u64>,
    /// Number of additional slab caches; `None`: not counted.
    pub slab_caches: Option<u64>,
    /// What refers to the memcgs of a leak, most references first; `None`: not looked for.
    pub pinned_by: Option<Vec<PinTotal>>,
    /// Whether that is exactly what the scenario pins with.
    pub pins_as_expected: Option<bool>,
    /// Only for a leak of memcgs.
    pub gone_after: Option<GoneAfter>,
    /// Time until all memcgs were freed by themselves, if they were.
    pub took: Option<Duration>,
}

/// Judges the evidence. Memcgs that take longer than `late_after` to be freed are late.
pub fn judge(evidence: &Evidence, late_after: Duration) -> Judgement {
    let (memcgs, pinned, readings, pins, sign) = match &evidence.played {
        Played::Skipped(reason) => return Judgement::without_evidence(Verdict::Skipped, reason.clone()),
        Played::Failed(reason) => {
            let reason = format!("it could not be provoked: {reason}");
            return Judgement::without_evidence(Verdict::Inconclusive, reason);
        }
        Played::Done { memcgs, pin, readings, pins, sign } => (*memcgs, pin.is_some(), readings, pins, sign),
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
        held_bytes_max: removed.counted.walk.and_then(|walk| walk.held_bytes_max),
        slab_caches: None,
        pinned_by: None,
        pins_as_expected: None,
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
            // There was no pin to remove: freeing after drop_caches took a while.
            Some(Moment::Unpinned | Moment::DroppedAgain) => GoneAfter::DropCaches,
            Some(Moment::Removed) | None => GoneAfter::Nothing,
        });
        pins.iter().for_each(|pins| judgement.name(pins));
    }
    if let Some(sign) = sign {
        weigh(sign, evidence.cgroups, &mut judgement);
    }
    judgement
}

/// The reason why the evidence is not reliable.
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
            return Some(format!("{memcgs} memcgs were created, the ledger saw {}", ledger.created));
        }
        if ledger.live > 0 {
            return Some(format!("{moment}, {} memcgs that should be gone are still online", ledger.live));
        }
        if ledger.created != ledger.freed + ledger.staying() {
            return Some(format!("{moment}, the ledger saw {} of {memcgs} memcgs freed", ledger.freed));
        }
    }
    None
}

/// From the ledger, or from a walk where the ledger cannot know.
fn ids_held(reading: &Reading) -> Option<u64> {
    let Counted { walk, .. } = reading.counted;
    reading.ledger.ids_held.or_else(|| walk.and_then(|walk| walk.ids_held))
}

/// States that memcgs were not freed although css_free came, where it is not the end (3.10).
fn css_freed(memcgs: u64) -> Option<String> {
    (memcgs > 0).then(|| format!("css_free came for {memcgs}, __mem_cgroup_free did not"))
}

/// Applies a sign of a leak that does not show in any memcg.
fn weigh(sign: &Sign, cgroups: u64, judgement: &mut Judgement) {
    match sign {
        Sign::SlabCaches(more) => {
            judgement.slab_caches = Some(*more);
            if *more >= cgroups {
                judgement.verdict = Verdict::Leak;
                judgement.add_reason(format!("{more} more slab caches than before"));
            } else if judgement.verdict != Verdict::Leak {
                judgement.verdict = Verdict::Inconclusive;
                judgement.reason = Some(format!(
                    "{more} more slab caches than before, too few to be from {cgroups} cgroups"
                ));
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

    /// Takes in what pins the memcgs.
    fn name(&mut self, pins: &PinsNamed) {
        let contradiction = pins.contradiction();
        self.pinned_by = Some(pins.by().to_vec());
        self.pins_as_expected = Some(contradiction.is_none());
        contradiction.into_iter().for_each(|contradiction| self.add_reason(contradiction));
    }

    fn without_evidence(verdict: Verdict, reason: String) -> Self {
        Self {
            verdict,
            reason: Some(reason),
            memcgs: None,
            stayed: None,
            ids_held: None,
            charged_pages: None,
            held_bytes_max: None,
            slab_caches: None,
            pinned_by: None,
            pins_as_expected: None,
            gone_after: None,
            took: None,
        }
    }
}

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Clean, Self::Leak, Self::Late, Self::Inconclusive, Self::Skipped];

    /// The name used in JSON and in files of expectations.
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
            Self::Unpinned => "after the pins were removed",
            Self::DroppedAgain => "after drop_caches again",
        })
    }
}
