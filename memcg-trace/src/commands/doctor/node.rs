//! Examines the node, twice where that tells more.

use std::{
    collections::{BTreeMap, HashSet},
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    attribution::container_of_path,
    cause::{self, Hint, Pinned},
    diagnosis::{Memcgs, Node, Trend},
    event::{Event, Key},
    kernel::{
        boot,
        cgroupfs::{
            cgroup_stat::{KernelCounts, dying_by_controller},
            hierarchy::Controller,
            kmem,
        },
        page_bytes,
        pins::{LookOptions, Pins},
        walk::{Walk, WalkError},
    },
    record::{CacheCopies, Version},
    report::view::MemcgView,
    session::{Empty, Survey},
    source::Caches,
    tracker::Tracker,
};

/// Minimum time for a trend.
const TREND: Duration = Duration::from_secs(10);

/// Result of one examination.
struct NodeLook {
    memcgs: Memcgs,
    /// The dying memcgs, if walked.
    dying: Option<HashSet<Key>>,
    survey: Option<Survey>,
    by_controller: BTreeMap<String, u64>,
    slab_caches: Option<u64>,
}

/// [`Survey::once`] or [`Survey::take`].
type TakeSurvey = fn(&mut Walk, &Controller) -> Result<Survey, WalkError>;

/// What finds out what pins memcgs.
pub struct PinSources<'a> {
    pub caches: Option<&'a mut Caches>,
    pub pins: Option<&'a mut Pins>,
}

/// How long doctor looks for what pins memcgs: on a very sick node there are millions of references.
const LOOKING: Duration = Duration::from_secs(5);

/// Two examinations, `watch` apart; one where nothing is dying, unless a trend is asked for.
pub fn examine(
    controller: &Controller,
    walk: &mut Option<Walk>,
    means: PinSources<'_>,
    release: &str,
    watch: Duration,
) -> Node {
    let start = Instant::now();
    // The walk of the last examination is the one that is compared with the kernel's counts until they agree.
    let first = NodeLook::take(controller, walk, Survey::once);
    if watch < TREND && first.is_calm() {
        let by_controller = first.by_controller.clone();
        let memcgs = Memcgs { staying: Some(0), ..first.memcgs };
        return node(controller, release, memcgs, by_controller, first.slab_caches, None);
    }
    thread::sleep(watch);
    let second = NodeLook::take(controller, walk, Survey::take);
    let span = start.elapsed();
    let trend = (span >= TREND).then(|| {
        let grown =
            |of: fn(&NodeLook) -> Option<u64>| Some(of(&second)?.cast_signed() - of(&first)?.cast_signed());
        Trend {
            span_ns: u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
            dying: grown(|look| look.memcgs.dying),
            ids: grown(|look| look.memcgs.ids_used),
            slab_caches: grown(|look| look.slab_caches),
        }
    });
    let by_controller = lesser(&first.by_controller, &second.by_controller);
    let slab_caches = second.slab_caches;
    node(controller, release, second.after(&first, means), by_controller, slab_caches, trend)
}

/// What was found, with what does not change from look to look.
fn node(
    controller: &Controller,
    release: &str,
    memcgs: Memcgs,
    dying_by_controller: BTreeMap<String, u64>,
    slab_caches: Option<u64>,
    trend: Option<Trend>,
) -> Node {
    let parameters = boot::parameters();
    Node {
        release: release.to_owned(),
        version: Some(controller.version),
        memory_bytes: boot::memory_bytes(),
        dying_by_controller,
        slab_caches,
        kmem: kmem::kmem(&parameters, controller, |path| container_of_path(path).is_some()),
        trend,
        memcgs,
        mkdir_errno: None,
        hooks_fired: None,
    }
}

impl NodeLook {
    fn take(controller: &Controller, walk: &mut Option<Walk>, survey: TakeSurvey) -> Self {
        // Reading this file makes the kernel flush its per-CPU counters.
        let _ = fs::read(controller.mount.join("memory.stat"));
        let surveyed = match walk {
            Some(walk) => survey(walk, controller).map_err(|error| error.to_string()),
            None => Err("neither way to walk works here".to_owned()),
        };
        let (survey, memcgs) = match surveyed {
            Ok(survey) => {
                let memcgs = walked(&survey);
                (Some(survey), memcgs)
            }
            Err(reason) => (None, counted(controller, reason)),
        };
        let dying = survey.as_ref().map(|survey| survey.snapshot.dying().filter_map(Key::of).collect());
        Self { memcgs, dying, survey, by_controller: dying_by_controller(), slab_caches: slab_caches() }
    }

    /// Whether nothing is dying, by a walk that agrees with the kernel's counts, and by these: then nothing stays.
    fn is_calm(&self) -> bool {
        self.dying.as_ref().is_some_and(HashSet::is_empty)
            && self.memcgs.agrees == Some(true)
            && self.by_controller.values().all(|dying| *dying == 0)
    }

    /// The memcgs, with those that have been dying since `earlier`.
    fn after(self, earlier: &Self, means: PinSources<'_>) -> Memcgs {
        let mut memcgs = self.memcgs;
        let Some((survey, before)) = self.survey.as_ref().zip(earlier.dying.as_ref()) else {
            // It is unknown which ones: at most the smaller of the two counts.
            memcgs.staying = memcgs.dying.zip(earlier.memcgs.dying).map(|(now, before)| now.min(before));
            return memcgs;
        };
        let stays = |event: &&Event| Key::of(event).is_some_and(|key| before.contains(&key));
        let staying: Vec<_> = survey.snapshot.dying().filter(stays).collect();
        memcgs.staying = Some(staying.len() as u64);
        let keys: Vec<_> = staying.iter().filter_map(|event| Key::of(event)).collect();
        memcgs.pinned = means.pins.and_then(|pins| pinned(pins, &keys));
        let held = means.caches.map(|caches| held_by_caches(caches, &keys)).unwrap_or_default();
        for event in staying {
            let key = Key::of(event);
            let charges = key.and_then(|key| survey.snapshot.charges.get(&key));
            let by_caches = key.is_some_and(|key| held.contains(&key));
            *memcgs.hints.entry(Hint::of(event, charges, by_caches, page_bytes() as u64)).or_default() += 1;
        }
        memcgs
    }
}

/// What refers to these memcgs; `None`: it could not be read.
fn pinned(pins: &mut Pins, memcgs: &[Key]) -> Option<Vec<Pinned>> {
    let options = LookOptions { budget: Some(LOOKING), ..LookOptions::default() };
    let look = pins.look(memcgs, &options);
    let look =
        look.inspect_err(|error| log::warn!("what refers to dying memcgs cannot be read: {error}")).ok()?;
    let explanations = cause::explain(&look);
    let there = explanations.iter().filter(|explanation| !explanation.is_freed());
    Some(there.map(Pinned::of).collect())
}

/// Those of these memcgs that are pinned by their own slab caches.
fn held_by_caches(caches: &mut Caches, memcgs: &[Key]) -> HashSet<Key> {
    match caches.read(memcgs) {
        Ok(CacheCopies { hold: true, of, .. }) => {
            of.into_iter().filter(|(_, names)| !names.is_empty()).map(|(key, _)| key).collect()
        }
        Ok(_) => HashSet::new(),
        Err(error) => {
            log::warn!("the slab caches of dying memcgs are unknown: {error}");
            HashSet::new()
        }
    }
}

/// All facts, from a walk.
fn walked(survey: &Survey) -> Memcgs {
    let tracker = Tracker::of_walk(&survey.snapshot);
    let totals = tracker.totals();
    let held = |event: &Event| Some(event.css_refs()?.min(event.charged_pages()?) * page_bytes() as u64);
    Memcgs {
        live: Some(totals.live),
        removed: Some(totals.removed),
        dying: Some(totals.dying),
        empty: Some(Empty::of(&survey.snapshot, &tracker).memcgs.len() as u64),
        ids_used: ids(survey.snapshot.events.iter()),
        ids_held_by_dying: ids(survey.snapshot.dying()),
        held_bytes: survey
            .snapshot
            .dying()
            .try_fold(0, |sum: u64, event| Some(sum.saturating_add(held(event)?))),
        held_bytes_max: tracker.dying().try_fold(0_u64, |sum, memcg| {
            Some(sum.saturating_add(MemcgView::held_bytes_max(memcg, page_bytes() as u64)?))
        }),
        agrees: survey.agrees,
        ..Memcgs::default()
    }
}

/// Number of them that own their memcg ID.
fn ids<'a>(mut events: impl Iterator<Item = &'a Event>) -> Option<u64> {
    events.try_fold(0, |sum, event| Some(sum + u64::from(event.memcg_id()? != 0)))
}

/// The kernel's own counts only.
fn counted(controller: &Controller, reason: String) -> Memcgs {
    let counted = KernelCounts::now(controller);
    let live = match controller.version {
        Version::V1 => Some(controller.census().live),
        Version::V2 => counted.live_memcgs,
    };
    Memcgs {
        dying: live.and_then(|live| controller.dying(live)),
        live,
        not_walked: Some(reason),
        ..Memcgs::default()
    }
}

fn lesser(one: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let both = one.iter().filter_map(|(name, count)| Some((name.clone(), *count.min(other.get(name)?))));
    both.collect()
}

/// Caches and their aliases; only SLUB shows them.
fn slab_caches() -> Option<u64> {
    fs::read_dir("/sys/kernel/slab").ok().map(|entries| entries.count() as u64)
}
