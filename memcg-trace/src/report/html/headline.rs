//! The first sentence: for people who have to decide something.

use crate::{
    report::{
        text::{
            verdict::{Deaths, Tone, verdict},
            words::many,
        },
        view::ReportView,
    },
    units::{Count, Time},
};

/// What was found in a run.
pub fn of(view: &ReportView<'_>) -> (Tone, String) {
    let summary = &view.summary;
    let (tone, _) = verdict(summary);
    let Deaths { pending, leaked, before } = Deaths::of(summary);
    let out_of_ids = summary.alloc_failed_by_errno.iter().any(|failure| failure.ids_exhausted == Some(true));
    let watched = Time { ns: summary.duration_ns };
    let headline = if out_of_ids {
        "No container can start on this node: all memcg IDs are in use".to_owned()
    } else if !summary.conclusive {
        "It cannot be said for certain whether this node leaks memory cgroups".to_owned()
    } else if leaked > 0 {
        format!("This node leaks memory cgroups: {}{}", of_died(view, leaked), until(view))
    } else if pending + summary.removed > 0 {
        format!(
            "Too early to tell: {} not been gone for {} yet",
            have(pending + summary.removed),
            Time { ns: summary.grace_ns }
        )
    } else if before > 0 {
        format!(
            "Old leaks and no new one: {} were there before the {watched} that were watched",
            many(before, "memory cgroup")
        )
    } else if summary.alloc_failed > 0 {
        format!("{} could not be created", many(summary.alloc_failed, "memory cgroup"))
    } else if summary.late > 0 {
        format!("No leak in {watched}, but some memory cgroups went late")
    } else {
        format!("No leak: all that was removed in {watched} went in time")
    };
    (tone, headline)
}

/// What changed from one to the other.
pub fn of_two(before: &ReportView<'_>, after: &ReportView<'_>) -> (Tone, String) {
    let leaked = |view: &ReportView<'_>| Deaths::of(&view.summary).leaked;
    let undecided = [(before, "before"), (after, "after")];
    let undecided = undecided.iter().find(|(view, _)| !view.summary.conclusive);
    match (leaked(before), leaked(after)) {
        _ if let Some((_, name)) = undecided => (
            Tone::Warn,
            format!("It cannot be said for certain what changed: the run {name} is inconclusive"),
        ),
        (0, 0) => (Tone::Good, "Neither run leaked a memory cgroup".to_owned()),
        (was, 0) => (
            Tone::Good,
            format!("The leak is gone: nothing leaked, where {} did before", share_of(before, was)),
        ),
        (0, now) => (Tone::Bad, format!("It leaks now: {}; before, nothing did", of_died(after, now))),
        (was, now) => {
            let share = |view: &ReportView<'_>, leaked: u64| leaked as f64 / died(view, leaked) as f64;
            let (was_share, now_share) = (share(before, was), share(after, now));
            let change = if now_share < was_share * 0.9 {
                "Fewer leak than before"
            } else if now_share > was_share * 1.1 {
                "More leak than before"
            } else {
                "It leaks as before"
            };
            (Tone::Bad, format!("{change}: {}; before, {} were", of_died(after, now), share_of(before, was)))
        }
    }
}

/// `3 of 7 that were removed are still there after 30s`
fn of_died(view: &ReportView<'_>, leaked: u64) -> String {
    let (is, grace) = (if leaked == 1 { "is" } else { "are" }, Time { ns: view.summary.grace_ns });
    format!("{} removed {is} still there after {grace}", share_of(view, leaked))
}

/// `3 of 7`
fn share_of(view: &ReportView<'_>, leaked: u64) -> String {
    format!("{} of {}", Count(leaked), Count(died(view, leaked)))
}

/// Never less than what leaked of them: some may have died while events were lost.
fn died(view: &ReportView<'_>, leaked: u64) -> u64 {
    view.timeline.sum(|stretch| stretch.died).max(leaked)
}

fn until(view: &ReportView<'_>) -> String {
    let until = view.summary.ids_exhausted_in_ns;
    until.map(|ns| format!("; if it goes on, no container starts in {}", Time { ns })).unwrap_or_default()
}

/// `1 has`, `2 have`
fn have(count: u64) -> String {
    format!("{} {}", many(count, "memory cgroup"), if count == 1 { "has" } else { "have" })
}
