//! What looks at the kernel do to the ledger: its list of caches, and those of dying memcgs.

use foldhash::{HashMap, HashSet};

use super::{SlabLedger, places::Places};
use crate::{
    event::Key,
    record::CacheCopies,
    slab::{Cache, Leak, ListedCache, Listing, Number, SlabChange, SlabState, SlabStep},
};

impl SlabLedger {
    /// The kernel's list: the first one is what there was before, later ones show what came and went unseen.
    pub(super) fn listed(&mut self, listing: &Listing, out: &mut Vec<SlabChange>) {
        let t_ns = listing.ended_ns;
        let first = self.listed_ns.replace(t_ns).is_none();
        let mut places = Places::of(self.caches.values());
        let mut seen: HashSet<Number> = HashSet::default();
        for listed in &listing.caches {
            let number = match places.take(listed) {
                Some(number) => number,
                None => {
                    let mut cache = Cache::new(self.next, &listed.name);
                    if !first && !self.config.hooked {
                        (cache.created_ns, cache.since_ns) = (Some(t_ns), Some(t_ns));
                    }
                    let number = self.add(cache, None);
                    if first || self.config.hooked {
                        self.totals.adopted += 1;
                    } else {
                        self.totals.created += 1;
                        out.push(SlabChange { t_ns, what: SlabStep::Created(number) });
                    }
                    number
                }
            };
            seen.insert(number);
            self.update(number, listed, t_ns, first, out);
        }
        // A leaked cache may be struck off the list. Without hooks there is no telling, and this is a release.
        let gone = |cache: &&Cache| {
            let struck = cache.state == SlabState::Live || !self.config.hooked;
            let older = cache.since_ns.is_none_or(|since_ns| since_ns < listing.began_ns);
            !seen.contains(&cache.number) && struck && older
        };
        let gone: Vec<_> = self.caches.values().filter(gone).map(|cache| cache.number).collect();
        for number in gone {
            self.end(number, t_ns, out);
        }
    }

    fn update(
        &mut self,
        number: Number,
        listed: &ListedCache,
        t_ns: u64,
        first: bool,
        out: &mut Vec<SlabChange>,
    ) {
        let Some(cache) = self.caches.get_mut(&number) else { return };
        if !first && !self.config.hooked {
            let new = listed.links.iter().filter(|link| !cache.links.contains(link)).count() as u64;
            // Its own name is one of the links, and is no alias.
            let own = u64::from(cache.dir.is_none() && !listed.links.is_empty());
            self.totals.aliased += new - own.min(new);
        }
        cache.dir = Some(listed.dir.clone());
        cache.links.clone_from(&listed.links);
        cache.object_size = listed.object_size.or(cache.object_size);
        cache.size = listed.size.or(cache.size);
        cache.objects = listed.objects;
        cache.ctor = listed.ctor.clone().or(cache.ctor.take());
        cache.refs = cache.refs.or(listed.aliases.map(|aliases| aliases + 1));
        let leak = match cache.state {
            SlabState::Live if listed.aliases == Some(-1) => Leak::NotReleased,
            SlabState::Live if listed.ctor_gone => Leak::ModuleGone,
            _ => return,
        };
        self.leak(number, leak, t_ns, out);
    }

    /// The memcgs that are dying as of a walk. Where the hooks do not tell when a memcg died (3.10), the first walk that saw it
    /// dying does: its caches may be read much later.
    pub fn dying(&mut self, memcgs: &[Key], t_ns: u64) {
        let before = std::mem::take(&mut self.dying);
        let since = |key: &Key| before.get(key).copied().unwrap_or(t_ns);
        self.dying = memcgs.iter().map(|key| (*key, since(key))).collect();
    }

    /// Caches of memcgs that are dying.
    pub(super) fn memcgs_dead(&mut self, copies: &CacheCopies, out: &mut Vec<SlabChange>) {
        let t_ns = copies.t_ns;
        let mut owners: HashMap<&[u8], Key> = HashMap::default();
        for (key, names) in &copies.of {
            owners.extend(names.iter().map(|name| (&**name, *key)));
        }
        let mut dead = Vec::new();
        for cache in self.caches.values_mut().filter(|cache| cache.state == SlabState::Live) {
            let Some(key) = owners.get(&*cache.name) else { continue };
            cache.memcg.get_or_insert((key.css, key.known_serial()));
            if self.config.hooked {
                let dying_ns = self.dying.get(key).copied();
                cache.memcg_offline_ns.get_or_insert(dying_ns.unwrap_or(t_ns));
            } else {
                dead.push(cache.number);
            }
        }
        for number in dead {
            self.leak(number, Leak::MemcgDead, t_ns, out);
        }
    }
}
