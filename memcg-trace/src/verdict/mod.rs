//! Verdicts of `verify`: evidence in, judgement out. Pure: no I/O, no clock.
//!
//! What it guarantees:
//!
//! - **Two witnesses.** Only what the ledger and the kernel's own counts agree on is CLEAN, LATE or LEAK.
//! - **A third one for what pins.** What refers to the memcgs of a leak is compared with what the scenario pins with; a
//!   difference is in the verdict's reason. It does not change the verdict: the memcgs are there all the same.
//! - **No false calm.** Anything lost, not counted, or not provoked makes the verdict INCONCLUSIVE, with the reason.
//! - **A pin counts.** A memcg that is not freed because something pins it is a LEAK: this is the question asked about
//!   a kernel. The judgement says after which step it was freed.

mod baseline;
mod evidence;
mod expectation;
mod judge;
mod pins_named;
mod scenario_name;

pub use baseline::{Baseline, BaselineError, Outcome};
pub use evidence::{Counted, Evidence, LedgerCounts, Moment, Played, Reading, Sign, WalkCounts};
pub use expectation::{Differs, Expectation, ParseError};
pub use judge::{GoneAfter, Judgement, Verdict, judge};
pub use pins_named::PinsNamed;
pub use scenario_name::ScenarioName;
