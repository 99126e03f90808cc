//! Families of caches that only grow: leaked caches that are never destroyed.

use std::collections::BTreeMap;

use super::{Cache, State, Symbol};

/// Number of increases without a decrease that count as steady growth.
const STEADY: u64 = 3;

/// The common origin of caches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Created at one call site.
    Creator(Symbol),
    /// Created by this module's init function.
    Init(Box<[u8]>),
    /// Unknown creator: names that only differ in numbers.
    Name(Box<[u8]>),
}

impl Family {
    pub fn of(cache: &Cache) -> Self {
        match cache.creator().map(|creator| (&creator.init, &creator.caller)) {
            Some((_, Some(caller))) => Self::Creator(caller.clone()),
            Some((Some(init), None)) => Self::Init(init.clone()),
            _ => Self::Name(stem(&cache.name).into()),
        }
    }
}

/// A name without the memcg suffix that it may have.
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

/// Number of caches in each family, over time.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    families: BTreeMap<Family, Series>,
    looks: u64,
}

#[derive(Clone, Debug, Default)]
struct Series {
    first: u64,
    last: u64,
    rises: u64,
    falls: u64,
}

/// A growing family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growing {
    pub family: Family,
    /// Count at the first check, and now.
    pub from: u64,
    pub to: u64,
    /// Number of checks with an increase. There was none with a decrease.
    pub rises: u64,
}

impl Growth {
    /// Recounts families. Includes caches being destroyed and leaked ones.
    pub fn look<'a>(&mut self, caches: impl Iterator<Item = &'a Cache>) {
        let mut counts: BTreeMap<Family, u64> = BTreeMap::new();
        for cache in caches.filter(|cache| cache.state != State::Released) {
            *counts.entry(Family::of(cache)).or_default() += 1;
        }
        for family in counts.keys() {
            // A new family: it started at zero.
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

    /// Steadily growing families, largest growth first.
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
