//! One round of concurrent scenarios. All are provoked, then it waits for all, then all pins are removed …, so that a
//! round takes a few times the settle time, independent of the number of scenarios.

use std::{
    collections::HashMap,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{explainer::Explainer, oracle::Oracle, witness::Witness};
use crate::{
    cause::Pinned,
    event::Key,
    kernel::cgroupfs::cgroup::Cgroup,
    scenarios::{Scenario, scenario, stage::Stage},
    source::Feed,
    verdict::{Counted, Evidence, LedgerCounts, Moment, PinsNamed, Played, Reading, ScenarioName, Sign},
};

/// Settings of a round.
#[derive(Clone, Copy, Debug)]
pub struct RoundSettings {
    pub cgroups: u64,
    /// How long to wait for memcgs, at each [`Moment`].
    pub settle: Duration,
    /// How long the witnesses may differ after that: the kernel frees in several steps, and its counts change at
    /// different ones.
    pub agree: Duration,
}

const POLL: Duration = Duration::from_millis(20);
/// Interval for evicting charge stocks while waiting for memcgs.
const EVICT: Duration = Duration::from_secs(1);

/// The participants of a round.
pub struct Round<'a, F, O> {
    pub stage: &'a Stage,
    pub witness: Witness<F>,
    pub oracle: O,
    /// `None`: what pins memcgs cannot be looked for here.
    pub explainer: Option<&'a mut dyn Explainer>,
    pub settings: RoundSettings,
    /// Returns an error to end the round.
    pub interrupted: fn() -> Result<()>,
    /// Reports progress.
    pub say: &'a mut dyn FnMut(&str),
}

/// A scenario being played. Its pins are dropped before the cgroup.
struct Actor {
    name: ScenarioName,
    scenario: Box<dyn Scenario>,
    parent: Cgroup,
    /// Its number in the ledger's witness.
    family: usize,
    cgroups: u64,
    /// The reason why it stopped.
    ended: Option<Played>,
    readings: Vec<Reading>,
    pins: Option<PinsNamed>,
    sign: Option<Sign>,
}

impl<F: Feed, O: Oracle> Round<'_, F, O> {
    /// Plays the scenarios and returns the evidence of each, in order.
    pub fn play(mut self, names: &[ScenarioName]) -> Result<Vec<Evidence>> {
        let mut actors = Vec::new();
        for name in names {
            self.pump()?;
            actors.push(self.set_up(*name)?);
        }
        for actor in &mut actors {
            self.provoke(actor)?;
        }
        self.read(&mut actors, Moment::Removed)?;
        self.explain(&mut actors)?;
        for actor in &mut actors {
            let sign = actor.scenario.sign();
            actor.keep(sign, |actor, sign| actor.sign = sign);
        }
        if self.any_stays(&actors) {
            drop_caches(self.say);
            self.read(&mut actors, Moment::Dropped)?;
        }
        // Even if nothing stayed: pins are removed before the hooks.
        self.unpin(&mut actors)?;
        if self.any_stays(&actors) {
            self.read(&mut actors, Moment::Unpinned)?;
        }
        if self.any_stays(&actors) {
            drop_caches(self.say);
            self.read(&mut actors, Moment::DroppedAgain)?;
        }
        let loss = self.witness.finish()?;
        Ok(actors.into_iter().map(|actor| actor.evidence(loss.clone())).collect())
    }

    fn pump(&mut self) -> Result<()> {
        self.witness.pump()?;
        (self.interrupted)()
    }

    fn family(&self, actor: &Actor) -> LedgerCounts {
        self.witness.family(actor.family)
    }

    fn any_stays(&self, actors: &[Actor]) -> bool {
        actors.iter().any(|actor| self.family(actor).staying() > 0)
    }

    fn set_up(&mut self, name: ScenarioName) -> Result<Actor> {
        let mut scenario = scenario(name);
        let cgroups = scenario.cgroups(self.settings.cgroups);
        let parent = self.stage.home().child(&name.to_string())?;
        parent.enable_memory()?;
        let family = self.witness.follow(parent.id());
        let ended = scenario.set_up(self.stage, cgroups).err();
        if let Some(error) = &ended {
            (self.say)(&format!("{name}: skipped, {error:#}"));
        }
        let ended = ended.map(|error| Played::Skipped(format!("{error:#}")));
        let readings = Vec::new();
        Ok(Actor { name, scenario, parent, family, cgroups, ended, readings, pins: None, sign: None })
    }

    fn provoke(&mut self, actor: &mut Actor) -> Result<()> {
        if actor.ended.is_some() {
            return Ok(());
        }
        (self.say)(&format!("{}: {} cgroups", actor.name, actor.cgroups));
        for number in 0..actor.cgroups {
            self.pump()?;
            let (witness, interrupted) = (&mut self.witness, self.interrupted);
            let mut pump = || witness.pump().and_then(|_| interrupted());
            let victim = actor.parent.child(&number.to_string());
            let done = victim.and_then(|victim| actor.scenario.provoke(victim, self.stage, &mut pump));
            if done.is_err() {
                interrupted()?;
            }
            if !actor.keep(done, |_, ()| ()) {
                return Ok(());
            }
        }
        let done = actor.scenario.conclude(&actor.parent);
        actor.keep(done, |_, ()| ());
        Ok(())
    }

    fn unpin(&mut self, actors: &mut [Actor]) -> Result<()> {
        (self.say)("removing the pins");
        for actor in actors {
            let (witness, interrupted) = (&mut self.witness, self.interrupted);
            let mut pump = || witness.pump().and_then(|_| interrupted());
            let done = actor.scenario.unpin(&mut pump);
            interrupted()?;
            actor.keep(done, |_, ()| ());
        }
        Ok(())
    }

    /// Waits until every memcg is freed, but at most for the settle time, and takes a reading.
    fn read(&mut self, actors: &mut [Actor], moment: Moment) -> Result<()> {
        let families = actors.iter().map(|actor| self.family(actor));
        let left: u64 = families.map(|family| family.created - family.freed.min(family.created)).sum();
        let settle = humantime::format_duration(self.settings.settle);
        (self.say)(&format!("{moment}: waiting up to {settle} for {left} memcgs"));
        let begun = Instant::now();
        let mut gone: Vec<Option<Duration>> = vec![None; actors.len()];
        let mut evicted = None;
        loop {
            self.pump()?;
            let waited = begun.elapsed();
            for (actor, gone) in actors.iter().zip(&mut gone) {
                if actor.ended.is_some() || self.family(actor).all_gone() {
                    gone.get_or_insert(waited);
                } else {
                    *gone = None;
                }
            }
            if gone.iter().all(Option::is_some) || waited >= self.settings.settle {
                break;
            }
            if evicted.is_none_or(|at: Instant| at.elapsed() >= EVICT) {
                self.stage.evict_stocks()?;
                evicted = Some(Instant::now());
            }
            thread::sleep(POLL);
        }
        let seen = self.agree(actors)?;
        for ((actor, gone), (ledger, counted)) in actors.iter_mut().zip(gone).zip(seen) {
            let waited = gone.unwrap_or(self.settings.settle);
            actor.readings.push(Reading { moment, waited, ledger, counted });
        }
        Ok(())
    }

    /// Looks for what pins those that stayed, in one pass.
    fn explain(&mut self, actors: &mut [Actor]) -> Result<()> {
        let Some(explainer) = &mut self.explainer else { return Ok(()) };
        let dying: Vec<Vec<Key>> = actors.iter().map(|actor| self.witness.dying_of(actor.family)).collect();
        let all: Vec<Key> = dying.iter().flatten().copied().collect();
        if all.is_empty() {
            return Ok(());
        }
        (self.say)(&format!("explaining what pins {} memcgs", all.len()));
        let pinned: HashMap<Key, Pinned> = match explainer.explain(&all) {
            Ok(pinned) => pinned.into_iter().collect(),
            Err(error) => {
                (self.say)(&format!("cannot explain what pins them: {error:#}"));
                return Ok(());
            }
        };
        for (actor, dying) in actors.iter_mut().zip(dying) {
            let pinned: Vec<&Pinned> = dying.iter().filter_map(|key| pinned.get(key)).collect();
            if !pinned.is_empty() {
                actor.pins = Some(PinsNamed::new(actor.scenario.pins(), &pinned));
            }
        }
        self.pump()
    }

    /// Reads both witnesses, repeatedly while they may differ for good reasons.
    fn agree(&mut self, actors: &[Actor]) -> Result<Vec<(LedgerCounts, Counted)>> {
        let parents: Vec<&Cgroup> = actors.iter().map(|actor| &actor.parent).collect();
        let begun = Instant::now();
        loop {
            self.pump()?;
            let counted = self.oracle.count(&parents, &self.witness.dying())?;
            thread::sleep(POLL);
            self.pump()?;
            let families = actors.iter().map(|actor| self.family(actor));
            let seen: Vec<_> = families.zip(counted).collect();
            let differ = seen.iter().any(|(family, counted)| family.contradicted_by(counted).is_some());
            if !differ || begun.elapsed() > self.settings.agree {
                return Ok(seen);
            }
        }
    }
}

impl Actor {
    /// Processes a result, or records that the scenario failed; true if it continues.
    fn keep<T>(&mut self, result: Result<T>, take: impl FnOnce(&mut Self, T)) -> bool {
        match result {
            Ok(value) => take(self, value),
            Err(error) if self.ended.is_none() => self.ended = Some(Played::Failed(format!("{error:#}"))),
            Err(error) => log::debug!("{}: {error:#}", self.name),
        }
        self.ended.is_none()
    }

    fn evidence(self, loss: Vec<String>) -> Evidence {
        let Self { name, scenario, cgroups, ended, readings, pins, sign, .. } = self;
        let played = ended.unwrap_or_else(|| Played::Done {
            memcgs: cgroups * scenario.memcgs_each(),
            pin: scenario.pin(),
            readings,
            pins,
            sign,
        });
        Evidence { name, cgroups, played, loss }
    }
}

/// Writes back dirty pages and drops clean caches, on the whole machine.
fn drop_caches(say: &mut dyn FnMut(&str)) {
    say("sync, then drop_caches");
    nix::unistd::sync();
    if let Err(error) = fs::write("/proc/sys/vm/drop_caches", "3") {
        log::warn!("cannot drop caches: {error}");
    }
}
