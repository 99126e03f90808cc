//! One round: scenarios side by side. All are provoked, then all are waited for, then all pins are taken away …, so that
//! a round takes a few times the settle time, however many scenarios there are.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{oracle::Oracle, witness::Witness};
use crate::{
    kernel::cgroupfs::cgroup::Cgroup,
    scenarios::{Scenario, scenario, stage::Stage},
    source::Feed,
    verdict::{Counted, Evidence, Family, Moment, Played, Reading, ScenarioName, Sign},
};

/// How a round is played.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub cgroups: u64,
    /// How long memcgs are waited for, at each [`Moment`].
    pub settle: Duration,
    /// How long the witnesses may differ then, because the kernel frees step by step and counts at different steps.
    pub agree: Duration,
}

const POLL: Duration = Duration::from_millis(20);
/// Charge stocks are driven out that often while memcgs are waited for.
const EVICT: Duration = Duration::from_secs(1);

/// Who takes part in a round.
pub struct Round<'a, F, O> {
    pub stage: &'a Stage,
    pub witness: Witness<F>,
    pub oracle: O,
    pub settings: Settings,
    /// An error ends the round.
    pub interrupted: fn() -> Result<()>,
    /// Says what is being done.
    pub say: &'a mut dyn FnMut(&str),
}

/// A scenario that plays. What it pins goes before the cgroup.
struct Actor {
    name: ScenarioName,
    scenario: Box<dyn Scenario>,
    parent: Cgroup,
    /// Its number with the witness.
    family: usize,
    cgroups: u64,
    /// Why it does not go on.
    ended: Option<Played>,
    readings: Vec<Reading>,
    sign: Option<Sign>,
}

impl<F: Feed, O: Oracle> Round<'_, F, O> {
    /// Plays the scenarios and returns what was seen of each, in their order.
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
        for actor in &mut actors {
            let sign = actor.scenario.sign();
            actor.keep(sign, |actor, sign| actor.sign = sign);
        }
        if self.any_stays(&actors) {
            drop_caches(self.say);
            self.read(&mut actors, Moment::Dropped)?;
        }
        // Also where nothing stays: what is there to pin goes before the hooks.
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

    fn family(&self, actor: &Actor) -> Family {
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
        Ok(Actor { name, scenario, parent, family, cgroups, ended, readings: Vec::new(), sign: None })
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
        (self.say)("the pins are taken away");
        for actor in actors {
            let (witness, interrupted) = (&mut self.witness, self.interrupted);
            let mut pump = || witness.pump().and_then(|_| interrupted());
            let done = actor.scenario.unpin(&mut pump);
            interrupted()?;
            actor.keep(done, |_, ()| ());
        }
        Ok(())
    }

    /// Waits until every memcg is gone, but no longer than the settle time, and notes what there is.
    fn read(&mut self, actors: &mut [Actor], moment: Moment) -> Result<()> {
        let families = actors.iter().map(|actor| self.family(actor));
        let left: u64 = families.map(|family| family.created - family.freed.min(family.created)).sum();
        let settle = humantime::format_duration(self.settings.settle);
        (self.say)(&format!("{moment}: up to {settle} for {left} memcgs to go"));
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

    /// Both witnesses, asked again as long as they may differ for good reasons.
    fn agree(&mut self, actors: &[Actor]) -> Result<Vec<(Family, Counted)>> {
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
    /// Takes a result, or notes that the scenario failed; true if it goes on.
    fn keep<T>(&mut self, result: Result<T>, take: impl FnOnce(&mut Self, T)) -> bool {
        match result {
            Ok(value) => take(self, value),
            Err(error) if self.ended.is_none() => self.ended = Some(Played::Failed(format!("{error:#}"))),
            Err(error) => log::debug!("{}: {error:#}", self.name),
        }
        self.ended.is_none()
    }

    fn evidence(self, loss: Vec<String>) -> Evidence {
        let Self { name, scenario, cgroups, ended, readings, sign, .. } = self;
        let played = ended.unwrap_or_else(|| Played::Done {
            memcgs: cgroups * scenario.memcgs_each(),
            pin: scenario.pin(),
            readings,
            sign,
        });
        Evidence { name, cgroups, played, loss }
    }
}

/// Writes back what is dirty and drops what is clean, of the whole machine.
fn drop_caches(say: &mut dyn FnMut(&str)) {
    say("sync, then drop_caches");
    nix::unistd::sync();
    if let Err(error) = fs::write("/proc/sys/vm/drop_caches", "3") {
        log::warn!("cannot drop caches: {error}");
    }
}
