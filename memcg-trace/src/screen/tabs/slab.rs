//! Slab caches that were destroyed, and the leaked ones.

use std::sync::Arc;

use crate::{
    report::text,
    screen::{
        ink::Ink,
        list::{ListRow, ListRows, RowId, SortKey},
        status::{SlabLine, SlabStatus, Status},
    },
    slab::{Leak, SlabState},
    units::{Count, Time, UNKNOWN},
};

pub const COLUMNS: &[&str] = &["AGE>", "OBJECTS>", "SIZE>", "STATE", "CACHE<", "CREATED BY<", "MODULE<"];

pub fn rows(status: &Status) -> ListRows {
    let caches = status.slab.iter().flat_map(|slab| &slab.caches);
    caches.map(|cache| Arc::clone(cache) as _).collect()
}

pub fn none(status: &Status) -> String {
    match (&status.slab, &status.playback) {
        (Some(slab), _) => {
            let SlabStatus { live, growing, .. } = &**slab;
            let live = format!("{} live; none is leaked or being destroyed", text::many(*live, "slab cache"));
            let growing = growing.iter().map(|(family, from, to)| {
                format!("; those {family} grew from {} to {}", Count(*from), Count(*to))
            });
            live + &growing.collect::<String>()
        }
        (None, Some(_)) => "slab caches are not part of a recording".to_owned(),
        (None, None) => "slab caches are not followed; start with --slab".to_owned(),
    }
}

impl ListRow for SlabLine {
    fn id(&self) -> RowId {
        RowId::Name(format!("{} {:?}", self.name, self.since_ns))
    }

    fn cells(&self, status: &Status) -> Vec<String> {
        let unknown = || UNKNOWN.to_owned();
        let age_ns = self.since_ns.map(|since_ns| status.now_ns.saturating_sub(since_ns));
        let state = match self.leak {
            Some(Leak::NotReleased) => "leaked",
            Some(Leak::MemcgDead) => "memcg dead",
            Some(Leak::ModuleGone) => "module gone",
            None => "destroying",
        };
        vec![
            age_ns.map_or_else(unknown, |ns| Time { ns }.to_string()),
            self.objects.map_or_else(unknown, |objects| Count(objects).to_string()),
            text::size(self.bytes),
            state.to_owned(),
            self.name.clone(),
            self.creator.clone().unwrap_or_else(unknown),
            self.module.clone().unwrap_or_else(unknown),
        ]
    }

    fn sort_key(&self, column: usize, status: &Status) -> SortKey {
        let text = |text: &Option<String>| SortKey::Text(text.clone().unwrap_or_default());
        match column {
            0 => SortKey::Number(self.since_ns.map(|since_ns| status.now_ns.saturating_sub(since_ns))),
            1 => SortKey::Number(self.objects),
            2 => SortKey::Number(self.bytes),
            3 => SortKey::Text(self.state.to_string()),
            4 => SortKey::Text(self.name.clone()),
            5 => text(&self.creator),
            _ => text(&self.module),
        }
    }

    fn ink(&self) -> Ink {
        if self.state == SlabState::Leaked { Ink::Bad } else { Ink::Dim }
    }
}
