//! Dying memcgs by workload, beside those of the same that were freed.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use crate::{
    attribution::Owner,
    cause::{PinTotal, Pinned, pin_totals},
    event::Key,
    report::text,
    screen::{
        ink::Ink,
        list::{ListRow, ListRows, RowId, SortKey},
        status::Status,
    },
    tracker::Id,
    units::{Count, Size, Time, UNKNOWN},
};

pub const COLUMNS: &[&str] =
    &["LEAKED>", "DYING>", "FREED>", "STAY>", "IDS>", "CHARGED>", "OLDEST>", "WORKLOAD<", "PINNED BY<"];

/// A workload.
#[derive(Debug, Default)]
struct WorkloadRow {
    name: String,
    leaked: u64,
    dying: u64,
    /// Of those dying: created since the start.
    stayed: u64,
    freed: u64,
    ids_held: u64,
    charged_pages: Option<u64>,
    /// `None`: longer than anybody has looked.
    oldest_ns: Option<u64>,
    pins: Vec<PinTotal>,
}

pub fn rows(status: &Status) -> ListRows {
    let owners: HashMap<Key, &Owner> =
        status.zombies.iter().map(|zombie| (zombie.memcg.key, &zombie.owner)).collect();
    let mut rows: HashMap<&Owner, (WorkloadRow, Vec<&Pinned>)> = HashMap::new();
    for zombie in status.zombies.iter() {
        let (row, pinned) =
            rows.entry(&zombie.owner).or_insert_with(|| (WorkloadRow::of(&zombie.owner), Vec::new()));
        let memcg = &zombie.memcg;
        row.dying += 1;
        row.leaked += u64::from(memcg.leaked);
        row.stayed += u64::from(memcg.online_ns.is_some());
        row.ids_held += u64::from(matches!(memcg.id, Id::Held { .. }));
        // The counter of a parent has it.
        let in_parents = memcg.parent.and_then(|parent| owners.get(&parent)) == Some(&&zombie.owner);
        if !in_parents {
            row.charged_pages =
                row.charged_pages.zip(memcg.charged_pages).map(|(sum, pages)| sum.saturating_add(pages));
        }
        let age_ns = memcg.dying_since_ns().map(|since_ns| status.now_ns.saturating_sub(since_ns));
        row.oldest_ns = row.oldest_ns.zip(age_ns).map(|(oldest, age)| oldest.max(age));
        pinned.extend(memcg.pinned.as_deref());
    }
    for (owner, freed) in status.freed.iter() {
        rows.entry(owner).or_insert_with(|| (WorkloadRow::of(owner), Vec::new())).0.freed += freed;
    }
    let row = |(row, pinned): (WorkloadRow, Vec<&Pinned>)| WorkloadRow { pins: pin_totals(pinned), ..row };
    rows.into_values().map(|of| Arc::new(row(of)) as _).collect()
}

impl WorkloadRow {
    fn of(owner: &Owner) -> Self {
        Self { name: text::owner_name(owner), charged_pages: Some(0), oldest_ns: Some(0), ..Self::default() }
    }

    /// Of those that were created since the start and went offline, how many in a thousand are still there.
    fn stay_permille(&self) -> Option<u64> {
        (self.stayed * 1_000).checked_div(self.stayed + self.freed)
    }
}

impl ListRow for WorkloadRow {
    fn id(&self) -> RowId {
        RowId::Name(self.name.clone())
    }

    fn cells(&self, status: &Status) -> Vec<String> {
        let unknown = || UNKNOWN.to_owned();
        let bytes = self.charged_pages.map(|pages| pages.saturating_mul(status.start.page_bytes));
        vec![
            Count(self.leaked).to_string(),
            Count(self.dying).to_string(),
            Count(self.freed).to_string(),
            self.stay_permille()
                .map_or_else(|| "-".to_owned(), |stay| format!("{}.{}%", stay / 10, stay % 10)),
            Count(self.ids_held).to_string(),
            bytes.map_or_else(unknown, |bytes| Size { bytes }.to_string()),
            match self.oldest_ns {
                _ if self.dying == 0 => "-".to_owned(),
                Some(ns) => Time { ns }.to_string(),
                None => status.before_start(),
            },
            self.name.clone(),
            text::pin_kinds(&self.pins),
        ]
    }

    fn sort_key(&self, column: usize, _: &Status) -> SortKey {
        match column {
            0 => SortKey::Number(Some(self.leaked)),
            1 => SortKey::Number(Some(self.dying)),
            2 => SortKey::Number(Some(self.freed)),
            3 => SortKey::Number(self.stay_permille()),
            4 => SortKey::Number(Some(self.ids_held)),
            5 => SortKey::Number(self.charged_pages),
            6 => SortKey::Number(Some(self.oldest_ns.unwrap_or(u64::MAX)).filter(|_| self.dying > 0)),
            7 => SortKey::Text(self.name.clone()),
            _ => SortKey::Text(text::pin_kinds(&self.pins)),
        }
    }

    fn ink(&self) -> Ink {
        if self.leaked == 0 { Ink::Dim } else { Ink::Plain }
    }
}
