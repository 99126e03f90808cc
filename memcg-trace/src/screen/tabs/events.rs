//! The latest events, newest first.

use std::sync::Arc;

use crate::{
    report::{
        escape::Name,
        text,
        view::{EventKind, hook_name},
    },
    screen::{
        ink::Ink,
        list::{ListRow, ListRows, RowId, SortKey},
        status::{EventLine, EventNote, Status},
    },
    tracker::Id,
    units::{Time, TimeOfDay, UNKNOWN},
};

pub const COLUMNS: &[&str] = &["TIME(UTC)>", "EVENT", "ID>", "AGE>", "PATH~", "<"];

pub fn rows(status: &Status) -> ListRows {
    status.events.iter().map(|event| Arc::clone(event) as _).collect()
}

impl EventLine {
    fn note(&self) -> String {
        match &self.note {
            EventNote::None => String::new(),
            EventNote::AllocFailed { error, meaning } => format!("no memcg below it: {error}, {meaning}"),
            EventNote::Lost { hook, cpu, events } => {
                let hook = hook_name(*hook);
                format!("{} of {hook} on CPU {cpu} did not fit in the buffer", text::many(*events, "event"))
            }
            EventNote::Missed { hook, firings } => {
                format!("{} of {} missed", text::many(*firings, "firing"), hook_name(*hook))
            }
            EventNote::Outage { ns, reason } => {
                format!("nothing was recorded for {}: {reason}", Time { ns: *ns })
            }
            EventNote::Skipped { events } => {
                format!("after {} that are not shown", text::many(*events, "event"))
            }
        }
    }
}

impl ListRow for EventLine {
    fn id(&self) -> RowId {
        RowId::Event(self.number, self.key)
    }

    fn cells(&self, status: &Status) -> Vec<String> {
        let id = match self.id {
            Id::Held { id, .. } => id.to_string(),
            Id::Released => "released".to_owned(),
            Id::Unknown if self.key.is_none() => "-".to_owned(),
            Id::Unknown => UNKNOWN.to_owned(),
        };
        vec![
            TimeOfDay { ns: status.clock().real_ns(self.t_ns) }.to_string(),
            text::event_name(self.kind).to_owned(),
            id,
            self.elapsed_ns.map_or_else(|| "-".to_owned(), |ns| Time { ns }.to_string()),
            match &self.path {
                Some(path) => Name(path).to_string(),
                None if self.key.is_none() => String::new(),
                None => UNKNOWN.to_owned(),
            },
            self.note(),
        ]
    }

    fn sort_key(&self, column: usize, _: &Status) -> SortKey {
        match column {
            1 => SortKey::Text(text::event_name(self.kind).to_owned()),
            2 => SortKey::Number(match self.id {
                Id::Held { id, .. } => Some(id.into()),
                Id::Released | Id::Unknown => None,
            }),
            3 => SortKey::Number(self.elapsed_ns),
            4 => SortKey::Text(self.path.as_deref().map(|path| Name(path).to_string()).unwrap_or_default()),
            5 => SortKey::Text(self.note()),
            _ => SortKey::Number(Some(self.number)),
        }
    }

    fn ink(&self) -> Ink {
        match self.kind {
            EventKind::Leaked | EventKind::AllocFailed => Ink::Bad,
            EventKind::Late
            | EventKind::Lost
            | EventKind::Missed
            | EventKind::Reconciled
            | EventKind::Outage => Ink::Warn,
            EventKind::Online
            | EventKind::Removed
            | EventKind::Offline
            | EventKind::Released
            | EventKind::CssFreed
            | EventKind::Freed => Ink::Plain,
        }
    }
}
