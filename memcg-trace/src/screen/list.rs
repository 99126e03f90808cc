//! A list with columns: what is in it, in which order, and which row is selected.

use std::{cmp::Reverse, sync::Arc};

use super::{ink::Ink, status::Status};
use crate::event::Key;

/// A row of a list.
pub trait ListRow {
    fn id(&self) -> RowId;

    /// One for each column, as long as they need to be.
    fn cells(&self, status: &Status) -> Vec<String>;

    /// What it is sorted by in a column.
    fn sort_key(&self, column: usize, status: &Status) -> SortKey;

    /// What the filter looks in.
    fn text(&self, status: &Status) -> String {
        self.cells(status).join(" ")
    }

    fn ink(&self) -> Ink {
        Ink::Plain
    }
}

/// What a row is about, so that it stays selected where others come and go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowId {
    Memcg(Key),
    Name(String),
    Event(u64, Option<Key>),
}

/// A value of a column; what is unknown is less than anything that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    Number(Option<u64>),
    Text(String),
}

/// ListRows of a list, in any order.
pub type ListRows = Vec<Arc<dyn ListRow>>;

/// How a list is sorted and filtered, and where it is scrolled to.
#[derive(Clone, Debug, Default)]
pub struct ListState {
    pub sort: usize,
    /// Numbers come largest first, text in the order of the alphabet, unless this is set.
    pub reversed: bool,
    pub filter: String,
    /// Places in the order.
    pub selected: usize,
    pub offset: usize,
}

impl ListState {
    pub fn sorted_by(sort: usize) -> Self {
        Self { sort, ..Self::default() }
    }

    /// The places of the rows that the filter leaves, in order; ties by identity.
    pub fn order(&self, rows: &ListRows, status: &Status) -> Vec<usize> {
        let filter = self.filter.to_lowercase();
        let shown =
            |row: &Arc<dyn ListRow>| filter.is_empty() || row.text(status).to_lowercase().contains(&filter);
        let mut places: Vec<usize> = (0..rows.len()).filter(|place| shown(&rows[*place])).collect();
        let key = |place: &usize| (rows[*place].sort_key(self.sort, status), rows[*place].id());
        let text =
            rows.first().is_some_and(|row| matches!(row.sort_key(self.sort, status), SortKey::Text(_)));
        if text == self.reversed {
            places.sort_by_cached_key(|place| {
                let (value, id) = key(place);
                (Reverse(value), id)
            });
        } else {
            places.sort_by_cached_key(key);
        }
        places
    }

    /// Keeps the selection within `count` rows, and in view where `height` rows are.
    pub fn settle(&mut self, count: usize, height: usize) {
        self.selected = self.selected.min(count.saturating_sub(1));
        self.offset = self.offset.min(count.saturating_sub(height)).min(self.selected);
        if self.selected >= self.offset + height.max(1) {
            self.offset = self.selected + 1 - height.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_stays_in_view() {
        // Selected, offset, rows, height: selected and offset afterwards.
        let table = [
            ((0, 0, 0, 10), (0, 0)),
            ((9, 0, 5, 10), (4, 0)),
            ((20, 0, 100, 10), (20, 11)),
            ((20, 15, 100, 10), (20, 15)),
            ((3, 15, 100, 10), (3, 3)),
            ((99, 95, 100, 10), (99, 90)),
            ((5, 5, 100, 0), (5, 5)),
        ];
        for ((selected, offset, count, height), expected) in table {
            let mut list = ListState { selected, offset, ..ListState::default() };
            list.settle(count, height);
            assert_eq!((list.selected, list.offset), expected);
        }
    }
}
