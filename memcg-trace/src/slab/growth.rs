//! Families of caches that only grow: the leak that nobody destroys.

use std::collections::BTreeMap;

use super::{Cache, SlabState, Symbol};

/// Rises without a fall that make a growth steady.
const STEADY: u64 = 3;

/// What caches of one origin have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CacheFamily {
    /// Created by one place in the kernel's code.
    Creator(Symbol),
    /// Created while this module was initialised.
    Init(Box<[u8]>),
    /// Nothing is known of the creator: names that differ in numbers alone.
    Name(Box<[u8]>),
}

impl CacheFamily {
    pub fn of(cache: &Cache) -> Self {
        match cache.creator().map(|creator| (&creator.init, &creator.caller)) {
            Some((_, Some(caller))) => Self::Creator(caller.clone()),
            Some((Some(init), None)) => Self::Init(init.clone()),
            _ => Self::Name(stem(&cache.name).into()),
        }
    }
}

/// A name without the memcg that it may end with.
pub fn root_name(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'(').next().filter(|root| !root.is_empty()).unwrap_or(name)
}

/// The same with `#` for each number in it.
pub fn stem(name: &[u8]) -> Vec<u8> {
    let name = root_name(name);
    let mut stem = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'0'..=b'9' if stem.last() == Some(&b'#') => {}
            b'0'..=b'9' => stem.push(b'#'),
            _ => stem.push(byte),
        }
    }
    stem
}

/// How many caches each family has, from look to look.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    families: BTreeMap<CacheFamily, Series>,
    looks: u64,
}

#[derive(Clone, Debug, Default)]
struct Series {
    first: u64,
    last: u64,
    rises: u64,
    falls: u64,
}

/// A family that grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growing {
    pub family: CacheFamily,
    /// At the first look, and now.
    pub from: u64,
    pub to: u64,
    /// Looks at which there were more than at the one before. There was none with fewer.
    pub rises: u64,
}

impl Growth {
    /// Counts families anew. A cache that is on its way out or leaked is still there.
    pub fn look<'a>(&mut self, caches: impl Iterator<Item = &'a Cache>) {
        let mut counts: BTreeMap<CacheFamily, u64> = BTreeMap::new();
        for cache in caches.filter(|cache| cache.state != SlabState::Released) {
            *counts.entry(CacheFamily::of(cache)).or_default() += 1;
        }
        for family in counts.keys() {
            // Born since: there were none.
            self.families.entry(family.clone()).or_default();
        }
        let first = self.looks == 0;
        self.looks += 1;
        for (family, series) in &mut self.families {
            let now = counts.get(family).copied().unwrap_or(0);
            if first {
                series.first = now;
            } else {
                series.rises += u64::from(now > series.last);
                series.falls += u64::from(now < series.last);
            }
            series.last = now;
        }
    }

    /// Those that grow steadily, the largest growth first.
    pub fn steady(&self) -> Vec<Growing> {
        let steady = self.families.iter().filter(|(_, series)| series.rises >= STEADY && series.falls == 0);
        let growing = steady.map(|(family, series)| Growing {
            family: family.clone(),
            from: series.first,
            to: series.last,
            rises: series.rises,
        });
        let mut growing: Vec<_> = growing.collect();
        growing.sort_by_key(|growing| std::cmp::Reverse(growing.to - growing.from));
        growing
    }
}
