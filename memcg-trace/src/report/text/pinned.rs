//! What pins one memcg, in short: for lines and cells.

use std::io::{self, Write};

use super::{Page, table::Columns, words::or};
use crate::{
    cause::{Pin, PinTotal},
    report::view::{MemcgView, PinnedByView, PinnedView},
    tracker::Memcg,
    units::{Count, UNKNOWN},
};

/// Kinds that are named; there are seldom more.
const NAMED: usize = 3;

/// `256 tmpfs file /dev/shm/cache, held by sleep (pid 42) + 1 task`
pub fn pinned(pinned: &PinnedView<'_>) -> String {
    let named = pinned.by.iter().take(NAMED).map(by).collect::<Vec<_>>().join(" + ");
    match pinned.by.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} + {} more", Count(more as u64)),
    }
}

/// Name of a column for what pins these memcgs; `None`: it is known of none.
pub fn column<'a>(mut memcgs: impl Iterator<Item = &'a Memcg>) -> Option<&'static str> {
    memcgs.any(|memcg| memcg.pinned.is_some()).then_some("PINNED BY<")
}

/// A cell of that column.
pub fn cell(memcg: &MemcgView<'_>) -> String {
    or(memcg.pinned.as_ref().map(pinned), UNKNOWN)
}

/// The same for groups: `file (290), task (3)`, how many memcgs each kind pins.
pub fn group_column<'a>(mut pins: impl Iterator<Item = &'a Vec<PinTotal>>) -> Option<&'static str> {
    pins.any(|pins| !pins.is_empty()).then_some("PINNED BY<")
}

pub fn group_cell(pins: &[PinTotal]) -> String {
    let named =
        pins.iter().take(NAMED).map(|total| format!("{} ({})", total.pin.name(), Count(total.memcgs)));
    match named.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "-".to_owned(),
        named => named,
    }
}

/// Kinds of pins, with their sums.
pub fn table(out: &mut impl Write, pins: &[PinTotal], page: Page) -> io::Result<()> {
    let mut table = Columns::new(["REFS>", "MEMCGS>", "BY"]);
    for PinTotal { pin, refs, memcgs } in pins {
        table.row([Count(*refs).to_string(), Count(*memcgs).to_string(), pin.name().to_owned()]);
    }
    table.print(out, page, 0, "")
}

fn by(by: &PinnedByView<'_>) -> String {
    let PinnedByView { pin, refs, things, what, holder, holders, .. } = by;
    let mut text = format!("{} {}", Count(*refs), pin.name());
    if *pin == Pin::Unexplained {
        return text;
    }
    if let Some(what) = what {
        text += &format!(" {what}");
    }
    if *things > 1 {
        text += &format!(" and {} more", Count(things - 1));
    }
    if let Some(holder) = holder {
        text += &format!(", held by {} (pid {})", holder.comm, holder.pid);
    }
    if *holders > 1 {
        text += &format!(" and {} more", Count(holders - 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{escape::Name, view::ProcessView};

    fn of(pin: Pin, refs: u64, things: u64) -> PinnedByView<'static> {
        PinnedByView { pin, refs, things, what: None, what_escaped: false, holder: None, holders: 0 }
    }

    #[test]
    fn the_largest_is_named_and_the_rest_counted() {
        let sleep = ProcessView { pid: 42, comm: Name(b"sleep\n") };
        let file = PinnedByView { what: Some(Name(b"/a\x1b")), ..of(Pin::Tmpfs, 1256, 2) };
        let table = [
            (vec![of(Pin::Task, 1, 1)], "1 task"),
            (
                vec![file.clone(), of(Pin::Unexplained, 3, 1)],
                "1,256 tmpfs file $'/a\\x1b' and 1 more + 3 unexplained",
            ),
            (
                vec![PinnedByView { holder: Some(sleep), holders: 3, ..file }],
                "1,256 tmpfs file $'/a\\x1b' and 1 more, held by $'sleep\\x0a' (pid 42) and 2 more",
            ),
            (
                [Pin::File, Pin::Anon, Pin::Socket, Pin::Task, Pin::Mm].map(|pin| of(pin, 1, 1)).to_vec(),
                "1 file + 1 anonymous memory + 1 socket + 2 more",
            ),
        ];
        for (by, expected) in table {
            assert_eq!(pinned(&PinnedView { refs: 0, refs_explained: 0, by }), expected);
        }
    }
}
