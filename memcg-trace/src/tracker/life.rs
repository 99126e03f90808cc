//! Applies the events of each hook to the ledger.

use memcg_trace_common::{CssFlag, Hook};

use super::{Change, Id, Memcg, State, Tracker, What};
use crate::{
    event::{Event, Key, Task, parent_of},
    record::Backend,
};

impl Tracker {
    pub(super) fn event(&mut self, event: &Event, out: &mut Vec<Change>) {
        if let Some(released_ns) = self.cgroup_released_since(event) {
            return self.posthumous(event, released_ns, out);
        }
        match event.hook() {
            Hook::CssAlloc => self.allocated(event, out),
            Hook::CssOnline | Hook::CgroupMkdir => self.online(event, out),
            Hook::CgroupRmdir => self.removed(event, out),
            Hook::CssOfflineEnter | Hook::CssOffline => self.offline(event, out),
            Hook::CssReleased => self.last_put(event, out),
            Hook::CssPut => self.css_freed(event, out),
            Hook::CssFree | Hook::MemcgFree => self.freed(event, out),
            Hook::CgroupRelease => self.cgroup_released(event, out),
            // Hooks that emit no events, or none about a memcg's life.
            _ => {}
        }
    }

    /// css_alloc. The css has no serial number and no cgroup yet, so a success is only counted.
    fn allocated(&mut self, event: &Event, out: &mut Vec<Change>) {
        let totals = self.ledger.totals_mut();
        let Some(errno) = event.errno() else {
            totals.allocated += 1;
            return;
        };
        *totals.alloc_failed.entry(errno).or_default() += 1;
        tell(event, What::AllocFailed { errno, parent: parent_of(event) }, out);
    }

    /// Creation. Both hooks fire in the thread that created the cgroup.
    fn online(&mut self, event: &Event, out: &mut Vec<Change>) {
        let Some(key) = self.identify(event) else { return };
        if self.address_was_reused(&key, event.t_ns()) {
            self.free(&key, event.t_ns(), None, out);
        }
        if self.born(&key, event) {
            tell(event, What::Online(key), out);
        }
        self.retire_older_generations(&key, event, out);
    }

    /// Records a creation; true if the memcg is new.
    fn born(&mut self, key: &Key, event: &Event) -> bool {
        if self.freed.get(key).is_some() {
            self.born_and_freed(key);
            return false;
        }
        self.first_serial = Some(self.first_serial.map_or(key.serial, |first| first.min(key.serial)));
        if self.ledger.get(key).is_some() {
            self.late_birth(key, event);
            return false;
        }
        let mut memcg = Memcg::first_seen(*key, event);
        (memcg.path, memcg.path_truncated) = self.paths.resolve(event, &self.ledger);
        memcg.online_ns = Some(event.t_ns());
        memcg.creator = Some(Task::of(event));
        self.ledger.insert(memcg);
        true
    }

    /// Recounts a freed memcg that was counted as adopted but was created after the start.
    fn born_and_freed(&mut self, key: &Key) {
        if self.freed.get_mut(key).is_some_and(std::mem::take) {
            self.ledger.recount_as_created();
        }
    }

    /// The creation of a memcg that is already known: a late event, or the other of the two hooks.
    fn late_birth(&mut self, key: &Key, event: &Event) {
        let path = self.paths.resolve(event, &self.ledger);
        let was_adopted = self.ledger.edit(key, |memcg| {
            memcg.learn(event);
            memcg.creator.get_or_insert_with(|| Task::of(event));
            if memcg.path.is_none() {
                (memcg.path, memcg.path_truncated) = path;
            }
            let adopted = memcg.online_ns.is_none();
            memcg.online_ns.get_or_insert(event.t_ns());
            let was_live = std::mem::take(&mut memcg.before_start) && memcg.dying_since_ns().is_some();
            (adopted, was_live)
        });
        if let Some((true, was_live)) = was_adopted {
            self.ledger.recount_as_created();
            if was_live && let Some(live) = &mut self.live_at_start {
                *live += 1;
            }
        }
    }

    /// rmdir. Without a css, the event is only about the cgroup (v2: the controller is not enabled, or no longer).
    /// Other memcgs of this cgroup than the one it names were detached before.
    fn removed(&mut self, event: &Event, out: &mut Vec<Change>) {
        let key = Key::of(event);
        if let Some(key) = key
            && self.known(&key, event)
        {
            self.ledger.edit(&key, |memcg| memcg.learn(event));
            self.lose_directory(&key, event, out);
            if self.backend == Backend::Tracepoint {
                self.go_offline(&key, event, out);
            }
        }
        for other in self.generations(event, key) {
            self.lose_directory(&other, event, out);
            self.go_offline(&other, event, out);
        }
    }

    fn lose_directory(&mut self, key: &Key, event: &Event, out: &mut Vec<Change>) {
        let further = self.ledger.edit(key, |memcg| {
            memcg.removed_ns.get_or_insert(event.t_ns());
            memcg.remover.get_or_insert_with(|| Task::of(event));
            memcg.reach(State::Removed)
        });
        if further == Some(true) {
            tell(event, What::Removed(*key), out);
        }
    }

    /// Marks a memcg as offline that this event shows to be offline. Where css_offline is hooked, its own event may
    /// still come and is reported instead.
    fn go_offline(&mut self, key: &Key, event: &Event, out: &mut Vec<Change>) {
        let further = self.ledger.edit(key, |memcg| {
            let further = memcg.reach(State::Dying);
            if further {
                memcg.offline_ns = Some(event.t_ns());
                memcg.id = Id::Unknown;
            }
            further
        });
        if further == Some(true) && self.backend == Backend::Tracepoint {
            out.push(Change { t_ns: event.t_ns(), task: None, what: What::Offline(*key) });
        }
    }

    /// css_offline. Dying starts at its entry. Whether the ID is released is known at its return; [`What::Offline`] is
    /// reported then.
    fn offline(&mut self, event: &Event, out: &mut Vec<Change>) {
        let Some(key) = self.identify(event).filter(|key| self.known(key, event)) else { return };
        let returned = event.hook() == Hook::CssOffline;
        self.ids_hidden |= returned && Id::of(event) == Id::Unknown;
        let news = self.ledger.edit(&key, |memcg| {
            let further = memcg.reach(State::Dying);
            let news = further || returned && memcg.id == Id::Unknown;
            if news {
                memcg.learn(event);
                memcg.id = if returned { Id::of(event) } else { Id::Unknown };
            }
            let since_ns = memcg.offline_ns.map_or(event.t_ns(), |known_ns| known_ns.min(event.t_ns()));
            memcg.offline_ns = Some(since_ns);
            news
        });
        if returned && news == Some(true) {
            tell(event, What::Offline(key), out);
        }
    }

    /// css_released: the last css reference is gone; the ID was released before that on every kernel.
    fn last_put(&mut self, event: &Event, out: &mut Vec<Change>) {
        let Some(key) = self.identify(event).filter(|key| self.known(key, event)) else { return };
        self.ledger.edit(&key, |memcg| {
            memcg.learn(event);
            memcg.reach(State::Dying);
            memcg.id = Id::Released;
        });
        tell(event, What::Released(key), out);
    }

    /// css_free where memcgs outlive their csses (3.10): the css and its cgroup are freed, the memcg with its last
    /// reference, which another hook reports.
    fn css_freed(&mut self, event: &Event, out: &mut Vec<Change>) {
        let Some(key) = self.identify(event).filter(|key| self.known(key, event)) else { return };
        let new = self.ledger.edit(&key, |memcg| {
            memcg.learn(event);
            memcg.reach(State::Dying);
            memcg.id = Id::of(event);
            memcg.css_freed_ns.replace(event.t_ns()).is_none()
        });
        if new == Some(true) {
            self.ledger.totals_mut().css_freed += 1;
            tell(event, What::CssFreed(key), out);
        }
    }

    /// The memcg is freed. If it was never seen before and its css was never released, it never came online: its
    /// creation failed after the allocation. It counts as created and freed.
    fn freed(&mut self, event: &Event, out: &mut Vec<Change>) {
        let Some(key) = self.identify(event) else { return };
        let new = self.ledger.get(&key).is_none();
        if !self.known(&key, event) {
            return;
        }
        let failed = new && event.css_flags().is_some_and(|flags| flags & CssFlag::RELEASED == 0);
        if failed {
            self.ledger.edit(&key, |memcg| memcg.before_start = false);
        }
        self.free(&key, event.t_ns(), Some(Task::of(event)), out);
        if failed {
            self.born_and_freed(&key);
        }
    }

    /// cgroup_release: every css of the cgroup was freed before. (A cgroup without a memcg is ignored.)
    fn cgroup_released(&mut self, event: &Event, out: &mut Vec<Change>) {
        let Some(cgroup_id) = event.cgroup_id() else {
            self.ledger.totals_mut().unidentified += 1;
            return;
        };
        for key in self.generations(event, None) {
            self.free(&key, event.t_ns(), Some(Task::of(event)), out);
        }
        self.paths.forget(cgroup_id);
        self.released.remember(cgroup_id, event.t_ns());
    }

    /// Time (ns) of the release of the event's cgroup, if the event is older and arrived late.
    fn cgroup_released_since(&self, event: &Event) -> Option<u64> {
        let released_ns = *self.released.get(&event.cgroup_id()?)?;
        (event.t_ns() <= released_ns && event.hook() != Hook::CgroupRelease).then_some(released_ns)
    }

    /// A late event about a memcg whose cgroup has been released. If it was not known, it is counted as freed.
    fn posthumous(&mut self, event: &Event, released_ns: u64, out: &mut Vec<Change>) {
        let Some(key) = Key::of(event) else { return };
        match event.hook() {
            Hook::CssOnline | Hook::CgroupMkdir => self.born(&key, event),
            _ => self.known(&key, event),
        };
        self.free(&key, released_ns, None, out);
    }

    fn free(&mut self, key: &Key, t_ns: u64, task: Option<Task>, out: &mut Vec<Change>) {
        let Some(memcg) = self.ledger.remove(key) else { return };
        let dying_ns = memcg.dying_since_ns().map(|since_ns| t_ns.saturating_sub(since_ns));
        let waited_ns = memcg.grace_since_ns().map(|since_ns| t_ns.saturating_sub(since_ns));
        let late = waited_ns.is_some_and(|waited_ns| waited_ns >= self.grace_ns);
        if late {
            let totals = self.ledger.totals_mut();
            totals.late += 1;
            totals.late_max_ns = totals.late_max_ns.max(dying_ns);
        }
        // Without serial numbers, the next memcg at this address looks the same.
        if key.known_serial().is_some() {
            self.freed.remember(*key, memcg.online_ns.is_none());
        }
        if let (Some(cgroup_id), Some(_)) = (memcg.cgroup_id, memcg.removed_ns) {
            self.paths.forget(cgroup_id);
        }
        out.push(Change { t_ns, task, what: What::Freed { memcg, dying_ns, late } });
    }

    /// The memcg that an event of a css hook is about; counts events that do not identify it.
    fn identify(&mut self, event: &Event) -> Option<Key> {
        let key = Key::of(event);
        self.ledger.totals_mut().unidentified += u64::from(key.is_none());
        key
    }

    /// Makes sure that the ledger has a memcg, unless it was freed before. An unknown one is older than the start, or
    /// its creation was not seen.
    pub(super) fn known(&mut self, key: &Key, event: &Event) -> bool {
        if self.ledger.get(key).is_some() {
            return true;
        }
        if self.freed.get(key).is_some() {
            return false;
        }
        let mut memcg = Memcg::first_seen(*key, event);
        (memcg.path, memcg.path_truncated) = self.paths.resolve(event, &self.ledger);
        memcg.before_start = key.serial == 0 || self.first_serial.is_none_or(|first| key.serial < first);
        let was_live =
            !matches!(event.hook(), Hook::CssReleased | Hook::CssPut | Hook::CssFree | Hook::MemcgFree);
        if memcg.before_start
            && was_live
            && let Some(live) = &mut self.live_at_start
        {
            *live = live.saturating_sub(1);
        }
        self.ledger.insert(memcg);
        true
    }

    /// Without serial numbers, a creation at the address of a removed memcg shows that the latter was freed.
    fn address_was_reused(&self, key: &Key, t_ns: u64) -> bool {
        let since_ns = || self.ledger.get(key).and_then(Memcg::dying_since_ns);
        key.serial == 0 && since_ns().is_some_and(|since_ns| since_ns < t_ns)
    }

    /// A cgroup has one memcg at a time: all but the newest are offline.
    fn retire_older_generations(&mut self, key: &Key, event: &Event, out: &mut Vec<Change>) {
        for other in self.generations(event, Some(*key)) {
            let older = if other.serial <= key.serial { &other } else { key };
            self.go_offline(older, event, out);
        }
    }

    /// The memcgs that the event's cgroup had at that time, except `but`.
    fn generations(&self, event: &Event, but: Option<Key>) -> Vec<Key> {
        let Some(cgroup_id) = event.cgroup_id() else { return Vec::new() };
        let existed = |key: &Key| {
            let online_ns = self.ledger.get(key).and_then(|memcg| memcg.online_ns);
            online_ns.is_none_or(|online_ns| online_ns <= event.t_ns())
        };
        self.ledger.generations(cgroup_id).filter(|key| Some(*key) != but && existed(key)).collect()
    }
}

fn tell(event: &Event, what: What, out: &mut Vec<Change>) {
    out.push(Change { t_ns: event.t_ns(), task: Some(Task::of(event)), what });
}
