//! Which cache of the ledger is which one of the kernel's list.

use foldhash::HashMap;

use crate::slab::{Cache, Listed, Number};

/// Where caches are in the kernel's list, as far as is known: by directory, the others by their names.
pub(super) struct Places {
    by_dir: HashMap<Box<[u8]>, Number>,
    by_name: HashMap<Box<[u8]>, Vec<Number>>,
}

impl Places {
    pub fn of<'a>(caches: impl Iterator<Item = &'a Cache>) -> Self {
        let mut places = Self { by_dir: HashMap::default(), by_name: HashMap::default() };
        for cache in caches {
            match &cache.dir {
                Some(dir) => {
                    places.by_dir.insert(dir.clone(), cache.number);
                }
                None => places.by_name.entry(cache.name.clone()).or_default().push(cache.number),
            }
        }
        places
    }

    /// The cache that the kernel lists here; each is taken once.
    pub fn take(&mut self, listed: &Listed) -> Option<Number> {
        self.by_dir.remove(&listed.dir).or_else(|| {
            let mut names = [&listed.name].into_iter().chain(&listed.links);
            names.find_map(|name| self.by_name.get_mut(name)?.pop())
        })
    }
}
