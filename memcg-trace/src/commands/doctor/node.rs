//! Looks at the node twice.

use std::{
    collections::{BTreeMap, HashSet},
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    attribution::container_of_path,
    diagnosis::{Memcgs, Node, Pin, Trend},
    event::{Event, Key},
    kernel::{
        boot,
        cgroupfs::{
            cgroup_stat::{Counted, dying_by_controller},
            hierarchy::Controller,
            kmem,
        },
        page_bytes,
        walk::Walk,
    },
    record::{Record, Version},
    session::{Empty, Survey},
    source::Caches,
    tracker::Tracker,
};

/// Shorter spans tell no trend.
const TREND: Duration = Duration::from_secs(10);

/// What one look brought.
struct Look {
    memcgs: Memcgs,
    /// Those that are dying, if it was walked.
    dying: Option<HashSet<Key>>,
    survey: Option<Survey>,
    by_controller: BTreeMap<String, u64>,
    slab_caches: Option<u64>,
}

/// Two looks, `watch` apart.
pub fn examine(
    controller: &Controller,
    walk: &mut Option<Walk>,
    caches: Option<&mut Caches>,
    release: &str,
    watch: Duration,
) -> Node {
    let start = Instant::now();
    let first = Look::take(controller, walk);
    thread::sleep(watch);
    let second = Look::take(controller, walk);
    let span = start.elapsed();
    let trend = (span >= TREND).then(|| {
        let grown =
            |of: fn(&Look) -> Option<u64>| Some(of(&second)?.cast_signed() - of(&first)?.cast_signed());
        Trend {
            span_ns: u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
            dying: grown(|look| look.memcgs.dying),
            ids: grown(|look| look.memcgs.ids_used),
            slab_caches: grown(|look| look.slab_caches),
        }
    });
    let parameters = boot::parameters();
    Node {
        release: release.to_owned(),
        version: Some(controller.version),
        memory_bytes: boot::memory_bytes(),
        dying_by_controller: lesser(&first.by_controller, &second.by_controller),
        slab_caches: second.slab_caches,
        kmem: kmem::kmem(&parameters, controller, |path| container_of_path(path).is_some()),
        trend,
        memcgs: second.after(&first, caches),
        mkdir_errno: None,
        hooks_fired: None,
    }
}

impl Look {
    fn take(controller: &Controller, walk: &mut Option<Walk>) -> Self {
        // The counters of each CPU are summed up for whoever reads this file. It is read for that alone.
        let _ = fs::read(controller.mount.join("memory.stat"));
        let surveyed = match walk {
            Some(walk) => Survey::take(walk, controller).map_err(|error| error.to_string()),
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

    /// What stayed since `earlier`.
    fn after(self, earlier: &Self, caches: Option<&mut Caches>) -> Memcgs {
        let mut memcgs = self.memcgs;
        let Some((survey, before)) = self.survey.as_ref().zip(earlier.dying.as_ref()) else {
            // Which ones is not known: at most as many as there were at either look.
            memcgs.staying = memcgs.dying.zip(earlier.memcgs.dying).map(|(now, before)| now.min(before));
            return memcgs;
        };
        let stays = |event: &&Event| Key::of(event).is_some_and(|key| before.contains(&key));
        let staying: Vec<_> = survey.snapshot.dying().filter(stays).collect();
        memcgs.staying = Some(staying.len() as u64);
        let keys: Vec<_> = staying.iter().filter_map(|event| Key::of(event)).collect();
        let held = caches.map(|caches| held_by_caches(caches, &keys)).unwrap_or_default();
        for event in staying {
            let key = Key::of(event);
            let charges = key.and_then(|key| survey.snapshot.charges.get(&key));
            let by_caches = key.is_some_and(|key| held.contains(&key));
            *memcgs.pins.entry(Pin::of(event, charges, by_caches, page_bytes() as u64)).or_default() += 1;
        }
        memcgs
    }
}

/// Which of these memcgs slab caches of their own hold.
fn held_by_caches(caches: &mut Caches, memcgs: &[Key]) -> HashSet<Key> {
    match caches.read::<Event>(memcgs) {
        Ok(Record::Caches { hold: true, of, .. }) => {
            of.into_iter().filter(|(_, names)| !names.is_empty()).map(|(key, _)| key).collect()
        }
        Ok(_) => HashSet::new(),
        Err(error) => {
            log::warn!("which slab caches dying memcgs have is not known: {error}");
            HashSet::new()
        }
    }
}

/// Everything, by a walk.
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
        agrees: survey.agrees,
        ..Memcgs::default()
    }
}

/// How many of them own their memcg ID.
fn ids<'a>(mut events: impl Iterator<Item = &'a Event>) -> Option<u64> {
    events.try_fold(0, |sum, event| Some(sum + u64::from(event.memcg_id()? != 0)))
}

/// What the kernel counts itself.
fn counted(controller: &Controller, reason: String) -> Memcgs {
    let counted = Counted::now(controller);
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

/// Caches and their aliases; SLUB alone shows them.
fn slab_caches() -> Option<u64> {
    fs::read_dir("/sys/kernel/slab").ok().map(|entries| entries.count() as u64)
}
