//! What pins the dying memcgs: by kind, by file, by who could let go.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use crate::{
    cause::{Pin, PinnedBy},
    report::{escape::Name, text},
    screen::{
        ink::Ink,
        list::{ListRow, ListRows, RowId, SortKey},
        status::Status,
    },
    units::Count,
};

/// What pins have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinsBy {
    #[default]
    Kind,
    File,
    Holder,
}

impl PinsBy {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::File => "file",
            Self::Holder => "holder",
        }
    }

    pub fn next(self) -> Self {
        match self {
            Self::Kind => Self::File,
            Self::File => Self::Holder,
            Self::Holder => Self::Kind,
        }
    }

    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Kind => &["MEMCGS>", "REFS>", "KIND<", "FOR EXAMPLE~"],
            Self::File => &["MEMCGS>", "REFS>", "KIND<", "FILE~"],
            Self::Holder => &["MEMCGS>", "REFS>", "HELD BY<", "FOR EXAMPLE~"],
        }
    }

    /// What a kind of pins of one memcg has in common with that of another: the largest of its things stands for it.
    fn common(self, by: &PinnedBy) -> Option<(String, String)> {
        let what = by.what.as_deref().map(|what| Name(what).to_string());
        let kind = || by.pin.name().to_owned();
        match self {
            Self::Kind => Some((kind(), String::new())),
            Self::File => is_file(by.pin).then(|| Some((kind(), what?)))?,
            Self::Holder => {
                let holder = by.holder.as_ref()?;
                Some((format!("{} (pid {})", Name(&holder.comm), holder.pid), String::new()))
            }
        }
    }
}

fn is_file(pin: Pin) -> bool {
    matches!(
        pin,
        Pin::File
            | Pin::Tmpfs
            | Pin::Memfd
            | Pin::SysvShm
            | Pin::SharedAnon
            | Pin::Hugetlb
            | Pin::BlockDevice
    )
}

/// Pins that have something in common.
struct PinRow {
    of: String,
    /// A file, or what one of them is called.
    what: String,
    memcgs: u64,
    refs: u64,
    /// Of some memcgs, more things than the one that is named have these references.
    at_most: bool,
    unexplained: bool,
}

pub fn rows(status: &Status, pins_by: PinsBy) -> ListRows {
    let mut rows: HashMap<(String, String), PinRow> = HashMap::new();
    let mut zombies: Vec<_> = status.zombies.iter().filter(|zombie| zombie.memcg.pinned.is_some()).collect();
    // The example is the same each time.
    zombies.sort_unstable_by_key(|zombie| zombie.memcg.key);
    for by in zombies.iter().filter_map(|zombie| zombie.memcg.pinned.as_deref()).flat_map(|pinned| &pinned.by)
    {
        let Some(common) = pins_by.common(by) else { continue };
        let row = rows.entry(common).or_insert_with_key(|(of, what)| PinRow {
            of: of.clone(),
            what: what.clone(),
            memcgs: 0,
            refs: 0,
            at_most: false,
            unexplained: by.pin == Pin::Unexplained,
        });
        row.memcgs += 1;
        row.refs += by.refs;
        row.at_most |= pins_by != PinsBy::Kind && by.things > 1;
        if row.what.is_empty() {
            row.what = example(pins_by, by);
        }
    }
    rows.into_values().map(|row| Arc::new(row) as _).collect()
}

fn example(pins_by: PinsBy, by: &PinnedBy) -> String {
    let what = by.what.as_deref().map(|what| Name(what).to_string()).unwrap_or_default();
    match (pins_by, &by.holder) {
        (PinsBy::Kind, Some(holder)) => {
            let holder = format!("held by {} (pid {})", Name(&holder.comm), holder.pid);
            [what, holder].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
        }
        (PinsBy::Holder, _) => format!("{} {what}", text::many(by.refs, by.pin.name())).trim_end().to_owned(),
        _ => what,
    }
}

impl ListRow for PinRow {
    fn id(&self) -> RowId {
        RowId::Name(format!("{} {}", self.of, self.what))
    }

    fn cells(&self, _: &Status) -> Vec<String> {
        vec![
            Count(self.memcgs).to_string(),
            format!("{}{}", if self.at_most { "≤ " } else { "" }, Count(self.refs)),
            self.of.clone(),
            if self.what.is_empty() { "-".to_owned() } else { self.what.clone() },
        ]
    }

    fn sort_key(&self, column: usize, _: &Status) -> SortKey {
        match column {
            0 => SortKey::Number(Some(self.memcgs)),
            1 => SortKey::Number(Some(self.refs)),
            2 => SortKey::Text(self.of.clone()),
            _ => SortKey::Text(self.what.clone()),
        }
    }

    fn ink(&self) -> Ink {
        if self.unexplained { Ink::Warn } else { Ink::Plain }
    }
}
