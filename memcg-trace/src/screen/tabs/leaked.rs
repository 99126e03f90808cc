//! Leaked memcgs, or all that are dying.

use std::sync::Arc;

use crate::{
    report::text,
    screen::{
        ink::Ink,
        list::{ListRow, ListRows, RowId, SortKey},
        status::{Status, Zombie},
    },
    tracker::Id,
    units::{Count, Time, UNKNOWN},
};

pub const COLUMNS: &[&str] = &["AGE>", "ID>", "REFS>", "CHARGED>", "WORKLOAD<", "PATH~", "PINNED BY<"];
pub const AGE: usize = 0;

pub fn rows(status: &Status, all_dying: bool) -> ListRows {
    let shown = status.zombies.iter().filter(|zombie| all_dying || zombie.memcg.leaked);
    shown.map(|zombie| Arc::clone(zombie) as _).collect()
}

/// What is said where none leaked.
pub fn none(status: &Status) -> String {
    let grace = Time { ns: status.start.grace_ns };
    match status.totals.dying {
        0 if status.cut_off().is_some() => "no memcg is known to be dying".to_owned(),
        0 => "nothing leaked: no memcg is dying".to_owned(),
        dying => format!(
            "nothing leaked so far: {} dying for less than {grace} (a shows them)",
            text::many(dying, "memcg")
        ),
    }
}

/// Unknown ages are of those that died before the start: longer than any.
fn age_ns(zombie: &Zombie, status: &Status) -> Option<u64> {
    Some(status.now_ns.saturating_sub(zombie.memcg.dying_since_ns()?))
}

impl ListRow for Zombie {
    fn id(&self) -> RowId {
        RowId::Memcg(self.memcg.key)
    }

    fn cells(&self, status: &Status) -> Vec<String> {
        let view = self.view(status);
        vec![
            match age_ns(self, status) {
                Some(ns) => Time { ns }.to_string(),
                None => status.before_start(),
            },
            text::id(&view),
            view.css_refs.map_or_else(|| UNKNOWN.to_owned(), |refs| Count(refs).to_string()),
            text::size(view.charged_bytes),
            self.workload(),
            view.path.map_or_else(|| UNKNOWN.to_owned(), |path| path.to_string()),
            view.pinned.as_ref().map_or_else(|| UNKNOWN.to_owned(), text::pinned),
        ]
    }

    fn sort_key(&self, column: usize, status: &Status) -> SortKey {
        let memcg = &self.memcg;
        match column {
            AGE => SortKey::Number(Some(age_ns(self, status).unwrap_or(u64::MAX))),
            1 => SortKey::Number(match memcg.id {
                Id::Held { id, .. } => Some(id.into()),
                Id::Released | Id::Unknown => None,
            }),
            2 => SortKey::Number(memcg.css_refs),
            3 => SortKey::Number(memcg.charged_pages),
            4 => SortKey::Text(self.workload()),
            5 => {
                SortKey::Text(String::from_utf8_lossy(memcg.path.as_deref().unwrap_or_default()).into_owned())
            }
            _ => SortKey::Text(memcg.pinned.as_ref().and_then(|pinned| pinned.by.first()).map_or_else(
                || UNKNOWN.to_owned(),
                |by| {
                    let what = by.what.as_deref().unwrap_or_default();
                    format!("{} {}", by.pin.name(), String::from_utf8_lossy(what))
                },
            )),
        }
    }

    fn text(&self, status: &Status) -> String {
        format!("{} {}", self.cells(status).join(" "), text::owner_name(&self.owner))
    }

    fn ink(&self) -> Ink {
        if self.memcg.leaked { Ink::Plain } else { Ink::Dim }
    }
}
