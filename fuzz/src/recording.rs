//! A recording: read, replayed into the ledger, and shown in text and JSON.

use std::io::Write as _;

use lz4_flex::frame::FrameEncoder;
use memcg_trace::{
    record::{
        End,
        recording::{Joined, Reader},
    },
    report::{
        json,
        text::{self, Color},
        view::{EventView, Run, SummaryView, Viewpoint, subject},
    },
    session::{Book, Observer, Replayed, SlabObserver, replay},
    tracker::{Change, Memcg},
};
use memcg_trace_common::ABI;

/// What a recording begins with, and the format that is written.
const MAGIC: &[u8] = b"memcg-trace recording\n";
const FORMAT: u16 = 5;

/// A file that begins like a recording is one as it stands. Anything else is what a recording unpacks to: checksums would keep
/// all but a few damaged files from being read at all.
pub fn run(input: &[u8]) -> bool {
    if input.starts_with(MAGIC) {
        return read(input);
    }
    let mut file = [MAGIC, &FORMAT.to_le_bytes(), &ABI.to_le_bytes()].concat();
    let mut frame = FrameEncoder::new(&mut file);
    frame.write_all(input).is_ok() && frame.finish().is_ok() && read(&file)
}

fn read(file: &[u8]) -> bool {
    let Ok(reader) = Reader::open(file) else { return false };
    let start = reader.start().clone();
    let mut printer = Printer { viewpoint: Viewpoint::of(&start), out: Vec::new() };
    let mut run = Run::of(&start);
    let mut book = Book::new(start, None);
    match replay(&mut Joined::alone(reader), &mut book, &mut printer).expect("a Vec takes all") {
        Replayed::Whole(end) => {
            let End { clock, .. } = end;
            run.end(&end);
            printer.viewpoint.clock = clock;
        }
        Replayed::Until(_) => run.cut_off(book.now_ns(), "the recording is damaged"),
    }
    let totals = book.tracker().totals();
    let (came, are) =
        (totals.created + totals.adopted, totals.live + totals.removed + totals.dying + totals.freed);
    assert_eq!(came, are, "{totals:?}");
    let container = |memcg: &Memcg| book.container_of(memcg);
    let view = SummaryView::new(&run, book.tracker(), &printer.viewpoint, container);
    text::summary(&mut printer.out, &view, Color::Off).expect("a Vec takes all");
    printer.out.clear();
    json::summary(&mut printer.out, &view).expect("a Vec takes all");
    is_json(&printer.out);
    came > 0
}

/// Shows each change in both formats, and forgets it.
struct Printer {
    viewpoint: Viewpoint,
    out: Vec<u8>,
}

impl Observer for Printer {
    fn changed(&mut self, book: &Book, changes: &[Change]) -> Result<(), anyhow::Error> {
        for change in changes {
            let memcg = subject(change, book.tracker());
            let container = memcg.and_then(|memcg| book.container_of(memcg));
            let view = EventView::new(change, book.tracker(), container.as_ref(), &self.viewpoint);
            text::event(&mut self.out, &view, Color::Off)?;
            self.out.clear();
            json::event(&mut self.out, &view)?;
            is_json(&self.out);
            self.out.clear();
        }
        Ok(())
    }
}

impl SlabObserver for Printer {}

/// Whatever the names are, each line is JSON.
fn is_json(lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let parsed = serde_json::from_slice::<serde_json::Value>(line);
        assert!(parsed.is_ok(), "{}", line.escape_ascii());
    }
}
