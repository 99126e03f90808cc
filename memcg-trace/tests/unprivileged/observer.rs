//! The seam between the engine and whoever watches: an observer that only counts, run from recordings. tests/everywhere runs it
//! from the live stream.

use std::{
    fs,
    fs::File,
    path::{Path, PathBuf},
};

use memcg_trace::{
    record::recording::{Entry, Joined, Reader},
    session::{Book, Bucket, History, Replayed, replay},
};

use crate::count::Count;

fn recordings() -> impl Iterator<Item = PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files = fs::read_dir(folder).expect("the recordings").flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "recording"))
}

#[test]
fn counts_what_was_recorded() {
    for path in recordings() {
        let open = || Reader::open(File::open(&path).expect("a recording")).expect("a recording");
        let reader = open();
        let mut book = Book::new(reader.start().clone(), None);
        let mut count = Count::default();
        let replayed = replay(&mut Joined::alone(reader), &mut book, &mut count).expect("it never fails");
        assert!(matches!(replayed, Replayed::Whole(_)), "{}: {replayed:?}", path.display());

        // What the replay printed is another witness.
        let lines = fs::read_to_string(path.with_extension("jsonl")).expect("what the replay printed");
        let told = |event: &str| lines.matches(&format!("\"event\":\"{event}\"")).count() as u64;
        assert_eq!(count.online, told("online"), "{}", path.display());
        assert_eq!(count.freed, told("freed") + told("late"), "{}", path.display());
        assert!(count.online > 0 && count.freed > 0, "{}: {count:?}", path.display());
        assert_eq!(count.ticks, polls(open()), "{}", path.display());
    }
}

/// The buckets of a history add up to the counts of the run, and end in its last state.
#[test]
fn a_history_adds_up() {
    for path in recordings() {
        let reader = Reader::open(File::open(&path).expect("a recording")).expect("a recording");
        let mut book = Book::new(reader.start().clone(), None);
        let mut history = History::new(book.start().started_ns, 10_000_000);
        replay(&mut Joined::alone(reader), &mut book, &mut history).expect("it never fails");
        history.look(&book, &[]);

        let totals = book.tracker().totals();
        let sum = |of: fn(&Bucket) -> u64| history.buckets().iter().map(of).sum::<u64>();
        assert_eq!(sum(|bucket| bucket.freed), totals.freed, "{}", path.display());
        assert_eq!(sum(|bucket| bucket.born), totals.created, "{}", path.display());
        let last = history.buckets().last().expect("a bucket");
        assert_eq!((last.dying, last.leaked), (totals.dying, totals.leaked), "{}", path.display());
        assert_eq!(last.ids_used, book.tracker().ids().used, "{}", path.display());
        let lasted_ns = book.now_ns() - history.started_ns();
        assert_eq!(history.buckets().len() as u64, lasted_ns / history.width_ns() + 1, "{}", path.display());
    }
}

fn polls(mut reader: Reader<File>) -> u64 {
    let mut polls = 0;
    loop {
        match reader.read().expect("a sound recording") {
            Entry::Time(_) => polls += 1,
            Entry::Record(_) | Entry::Checkpoint(_) | Entry::Outage(_) => {}
            Entry::End(_) => return polls,
        }
    }
}
