//! What holds for recordings that follow each other: one after the other they are the run, each of them alone is a part of it,
//! and what is missing between two is told, and nothing else is lost by it.

use std::{
    collections::HashMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{self, Command},
};

use memcg_trace::{
    attribution::ByOwner,
    event::Key,
    record::{
        Clock, End, Outage, OutageReason, Record, RunSegment, Snapshot, Start,
        recording::{Damage, Entry, Joined, Reader, TimeWindow, Writer},
        rotation::segment_name,
    },
    session::{Book, Replayed, Rollup, book_of, replay},
    tracker::{Change, Found, Totals, What},
};
use memcg_trace_common::WalkLayout;

use crate::{
    compare::{check_json, compare},
    events::{Fired, MS, css, key, start},
};

const NEVER: &str = "a Vec takes all";

type Files = std::vec::IntoIter<io::Result<io::Cursor<Vec<u8>>>>;

/// A recording of the repository: its start and its entries.
fn recorded(name: &str) -> (Start, Vec<Entry>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.recording"));
    let file = fs::read(path).expect("a recording");
    let mut reader = Reader::open(&*file).expect("a recording");
    (reader.start().clone(), entries(|| reader.read()).0)
}

fn entries(mut read: impl FnMut() -> Result<Entry, Damage>) -> (Vec<Entry>, Option<Damage>) {
    let mut entries = Vec::new();
    loop {
        match read() {
            Ok(entry) => {
                let ends = matches!(entry, Entry::End(_));
                entries.push(entry);
                if ends {
                    return (entries, None);
                }
            }
            Err(damage) => return (entries, Some(damage)),
        }
    }
}

/// The same run in several files, each of which begins with so many entries behind the one before.
fn in_parts(start: &Start, entries: &[Entry], length: usize) -> Vec<Vec<u8>> {
    let segment = |number| Some(RunSegment { run_ns: start.started_ns, number });
    let mut book = Book::new(start.clone(), None);
    let mut writer = Writer::new(Vec::new(), &Start { segment: segment(0), ..start.clone() }).expect(NEVER);
    let mut files = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 && index.is_multiple_of(length) {
            let end = End { ended_ns: book.now_ns(), clock: start.clock, undecodable: 0 };
            files.push(writer.finish(&end).expect(NEVER));
            let start = book.start_at(book.now_ns(), start.clock);
            let start = Start { segment: segment(files.len() as u32), ..start };
            writer = Writer::new(Vec::new(), &start).expect(NEVER);
            writer.checkpoint(&book.checkpoint(), &book.known()).expect(NEVER);
        }
        match entry {
            Entry::Record(record) => {
                writer.record(record).expect(NEVER);
                book.apply(record);
            }
            Entry::Time(now_ns) => {
                writer.time(*now_ns).expect(NEVER);
                book.advance(*now_ns);
            }
            Entry::End(end) => {
                files.push(writer.finish(end).expect(NEVER));
                return files;
            }
            Entry::Checkpoint(_) | Entry::Outage(_) => unreachable!("it is one file"),
        }
    }
    unreachable!("it is whole")
}

fn joined(files: &[Vec<u8>], window: TimeWindow) -> Joined<io::Cursor<Vec<u8>>, Files> {
    let files: Vec<_> = files.iter().map(|file| Ok(io::Cursor::new(file.clone()))).collect();
    Joined::open(files.into_iter(), window).expect("a recording")
}

/// What was told, and the book at the end.
fn shown(files: &[Vec<u8>], window: TimeWindow) -> (Vec<Change>, Book, Replayed) {
    struct Told(Vec<Change>);
    impl memcg_trace::session::SlabObserver for Told {}
    impl memcg_trace::session::Observer for Told {
        fn changed(&mut self, _: &Book, changes: &[Change]) -> anyhow::Result<()> {
            self.0.extend_from_slice(changes);
            Ok(())
        }
    }
    let mut recording = joined(files, window);
    let start = recording.start().clone();
    let mut book = book_of(&mut recording, start, Some(Rollup::new(ByOwner::Workload)));
    let mut told = Told(Vec::new());
    let replayed = replay(&mut recording, &mut book, &mut told).expect("it never fails");
    (told.0, book, replayed)
}

/// What a book knows, but for its counts.
fn known(book: &Book) -> impl PartialEq {
    let memcgs: Vec<_> =
        book.known().into_iter().map(|(memcg, facts)| (memcg.clone(), facts.to_vec())).collect();
    let containers: Vec<_> = memcgs.iter().map(|(memcg, _)| book.container_of(memcg)).collect();
    (memcgs, containers, book.tracker().ids(), book.tracker().conclusive(), book.checkpoint())
}

const RECORDINGS: [&str; 6] =
    ["6.12-jobs", "6.1-v1", "3.10.0-1160.el7", "4.19.48-blind", "tracepoint", "tracepoint-no-walk"];

#[test]
fn one_after_the_other_they_are_the_run() {
    for name in RECORDINGS {
        let (start, all) = recorded(name);
        for length in [3, 17, 100] {
            let files = in_parts(&start, &all, length);
            let mut joined = joined(&files, TimeWindow::default());
            assert_eq!(*joined.start(), Start { segment: joined.start().segment, ..start.clone() });
            let (joined, damage) = entries(|| joined.read());
            assert!(joined == all && damage.is_none(), "{name} in {} files: {damage:?}", files.len());
        }
    }
}

#[test]
fn each_of_them_alone_knows_what_the_run_knew() {
    for name in RECORDINGS {
        let (start, all) = recorded(name);
        let files = in_parts(&start, &all, 50);
        assert!(files.len() > 2, "{name}");
        for last in 0..files.len() {
            let (told, run, _) = shown(&files[..=last], TimeWindow::default());
            let (alone_told, alone, replayed) = shown(&files[last..=last], TimeWindow::default());
            assert!(matches!(replayed, Replayed::Whole(_)), "{name}: {replayed:?}");
            assert!(known(&alone) == known(&run), "{name}, file {last}");
            assert!(told.ends_with(&alone_told), "{name}, file {last}: {alone_told:?}");
            conserved(alone.tracker().totals());
        }
    }
}

fn conserved(totals: &Totals) {
    let Totals { created, adopted, live, removed, dying, freed, .. } = totals;
    assert_eq!(created + adopted, live + removed + dying + freed, "{totals:?}");
}

#[test]
fn what_could_not_be_written_is_told_and_the_rest_is_right() {
    for name in RECORDINGS {
        let (start, all) = recorded(name);
        let files = in_parts(&start, &all, 60);
        let (told, run, _) = shown(&files, TimeWindow::default());
        let mut cut = files.clone();
        let length = cut[1].len();
        // The end of each recording, and some of what is before it.
        cut[1].truncate(length - 60);
        let mut missing = files.clone();
        missing.remove(1);
        let mut corrupt = files.clone();
        // In the middle of a block, whose checksum says so.
        corrupt[1][length - 100] ^= 0xff;
        for (reason, files) in [
            (OutageReason::NotWritten, cut),
            (OutageReason::Missing, missing),
            (OutageReason::Damaged, corrupt),
        ] {
            let (with_outage, book, replayed) = shown(&files, TimeWindow::default());
            assert!(
                matches!(replayed, Replayed::Whole(_)),
                "{name}: {reason}: {replayed:?} of {}",
                files.len()
            );
            assert!(known(&book) == known(&run), "{name}: {reason}");
            let outages: Vec<_> = with_outage.iter().filter_map(outage).collect();
            assert_eq!(outages.iter().map(|outage| outage.reason).collect::<Vec<_>>(), [reason], "{name}");
            assert_eq!(book.tracker().totals().outages, 1);
            conserved(book.tracker().totals());
            // Nothing is told that did not happen, but for what the outage hid.
            let of_events = |changes: &[Change]| {
                changes.iter().filter(|change| change.task.is_some()).cloned().collect::<Vec<_>>()
            };
            let (some, all) = (of_events(&with_outage), of_events(&told));
            assert!(some.len() < all.len() && some.iter().all(|change| all.contains(change)), "{name}");
        }
    }
}

fn outage(change: &Change) -> Option<Outage> {
    match change.what {
        What::Outage(outage) => Some(outage),
        _ => None,
    }
}

#[test]
fn a_window_begins_with_what_was_known() {
    for name in RECORDINGS {
        let (start, all) = recorded(name);
        let files = in_parts(&start, &all, 40);
        let (told, run, _) = shown(&files, TimeWindow::default());
        let since_ns = start.started_ns + (run.now_ns() - start.started_ns) / 2;
        let (of_window, book, _) =
            shown(&files, TimeWindow { since_ns: Some(since_ns), ..TimeWindow::default() });
        assert!(told.ends_with(&of_window) && of_window.len() < told.len(), "{name}");
        assert!(known(&book) == known(&run), "{name}");
        assert_eq!(book.start().started_ns, since_ns);
        let totals = book.tracker().totals();
        conserved(totals);
        let count = |of: fn(&What) -> bool| of_window.iter().filter(|change| of(&change.what)).count() as u64;
        assert_eq!(totals.created, count(|what| matches!(what, What::Online(_))), "{name}");
        assert_eq!(totals.freed, count(|what| matches!(what, What::Freed { .. })), "{name}");

        // Up to the same instant, and from it on.
        let (before, until, replayed) =
            shown(&files, TimeWindow { until_ns: Some(since_ns), ..TimeWindow::default() });
        assert!(
            matches!(replayed, Replayed::Whole(End { ended_ns, .. }) if ended_ns == since_ns),
            "{replayed:?}"
        );
        assert!(told.starts_with(&before), "{name}");
        assert_eq!(before.len() + of_window.len(), told.len(), "{name}");
        assert!(until.now_ns() <= since_ns);
    }
}

const SINCE: &str = "2026-11-26T23:35:58Z";
const UNTIL: &str = "2026-11-26T23:36:10Z";

const STARTED_MS: u64 = 1_000;

/// A run that begins at a time, of the same boot as any other.
fn run(started_ms: u64) -> Start {
    Start {
        boot_id: Some("0d1b6b4c".to_owned()),
        layout: WalkLayout::UNKNOWN,
        clock: Clock { boottime_offset_ns: 0, realtime_offset_ns: 0 },
        started_ns: started_ms * MS,
        live: Some(0),
        paths: HashMap::new(),
        segment: Some(RunSegment { run_ns: started_ms * MS, number: 0 }),
        ..start()
    }
}

/// It is killed, and another one begins: what came of it meanwhile is found by the walk of that.
#[test]
fn a_run_that_was_killed_is_gone_on_with() {
    let walk = |ms: u64, events: Vec<Fired>| {
        let events = events.into_iter().map(|fired| fired.at(ms)).collect();
        Record::Walk(Snapshot { began_ns: (ms - 2) * MS, ended_ns: ms * MS, events, ..Snapshot::default() })
    };
    let [before, stays, goes, dies, came] =
        [(2, "before"), (10, "stays"), (11, "goes"), (12, "dies"), (13, "came")]
            .map(|(serial, name)| css(serial, name));
    let mut killed = Vec::new();
    let mut writer = Writer::new(&mut killed, &run(STARTED_MS)).expect(NEVER);
    writer.record(&walk(STARTED_MS, vec![before.walked()])).expect(NEVER);
    for (ms, memcg) in [(1_100, &stays), (1_200, &goes), (1_300, &dies)] {
        writer.record(&Record::Event(memcg.online().at(ms))).expect(NEVER);
    }
    writer.time(2_000 * MS).expect(NEVER);
    writer.flush().expect(NEVER);
    drop(writer);

    let mut writer = Writer::new(Vec::new(), &run(7_000)).expect(NEVER);
    let found = vec![before.walked(), stays.walked(), dies.walked_dying(), came.walked()];
    writer.record(&walk(6_999, found)).expect(NEVER);
    writer.time(9_000 * MS).expect(NEVER);
    let end = End { ended_ns: 9_000 * MS, clock: run(0).clock, undecodable: 0 };
    let after = writer.finish(&end).expect(NEVER);

    let (told, book, _) = shown(&[killed, after], TimeWindow::default());
    let outage = Outage { from_ns: 2_000 * MS, to_ns: 7_000 * MS, reason: OutageReason::CutOff };
    let what: Vec<_> = told.iter().skip_while(|change| !matches!(change.what, What::Outage(_))).collect();
    assert!(what.iter().any(|change| change.what == What::Outage(outage)), "{what:?}");
    assert!(what.iter().any(|change| change.what == What::Offline(key(12))), "{what:?}");
    let found = |found: Found| -> Vec<Key> {
        let memcgs = what.iter().filter_map(|change| match &change.what {
            What::Reconciled { memcg, found: how } if *how == found => Some(memcg.key),
            _ => None,
        });
        memcgs.collect()
    };
    assert_eq!((found(Found::Added), found(Found::Freed)), (vec![key(13)], vec![key(11)]), "{what:?}");
    let born = book.tracker().get(&key(10)).and_then(|memcg| memcg.online_ns);
    assert_eq!(born, Some(1_100 * MS), "what was known is still known");
    assert!(book.tracker().conclusive());
    conserved(book.tracker().totals());
}

/// A directory of a run of which one recording was cut off, and one of the boot before; removed with all that is in it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let directory = Self(env::temp_dir().join(format!("memcg-trace-rotation-{}", process::id())));
        fs::create_dir(&directory.0).expect("a directory");
        let (start, all) = recorded("6.12-jobs");
        let mut files = in_parts(&start, &all, 200);
        let length = files[1].len();
        files[1].truncate(length - 60);
        let earlier = Start {
            boot_id: Some("another".to_owned()),
            started_ns: 1,
            segment: Some(RunSegment { run_ns: 1, number: 0 }),
            ..start
        };
        let end = End { ended_ns: 2, clock: earlier.clock, undecodable: 0 };
        files.push(Writer::new(Vec::new(), &earlier).and_then(|writer| writer.finish(&end)).expect(NEVER));
        // What is no recording of a rotation.
        fs::write(directory.0.join("notes"), "of somebody").expect("a file");
        for file in files {
            let start = Reader::open(&*file).expect("a recording").start().clone();
            let name = segment_name(start.clock.utc(start.started_ns));
            fs::write(directory.0.join(name), file).expect("a file");
        }
        directory
    }

    fn run(&self, arguments: &[&str], code: i32) -> (Vec<u8>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memcg-trace"));
        command.args(arguments).arg(&self.0).env_remove("NO_COLOR").env_remove("RUST_LOG");
        let output = command.output().expect("run memcg-trace");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        (output.stdout, said)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_directory_in_every_format() {
    let directory = Directory::new();
    let (text, said) = directory.run(&["replay"], 0);
    assert!(!said.contains("cannot"), "{said}");
    compare("flight.txt", &text);
    let (json, _) = directory.run(&["replay", "-o", "json"], 0);
    check_json(&json);
    compare("flight.jsonl", &json);
    let since = ["replay", "--since", SINCE, "--until", UNTIL];
    let (text, _) = directory.run(&since, 0);
    compare("flight-since.txt", &text);
    let (frame, _) =
        directory.run(&["top", "--tab", "events", "--since", SINCE, "--until", UNTIL, "--replay"], 0);
    compare("top-flight.txt", &frame);
    let (page, _) = directory.run(&["report", "--since", SINCE], 0);
    let page = String::from_utf8(page).expect("UTF-8");
    assert!(!page.contains("the node was booted since"), "it was asked for less: {page}");
    assert!(page.contains("1, nothing was recorded for"), "{page}");
    let (_, said) = directory.run(&["replay", "--until", "2001-01-01T00:00:00Z"], 1);
    assert!(said.contains("nothing was recorded to"), "{said}");
    let (_, said) = directory.run(&["replay", "--since", UNTIL, "--until", SINCE], 1);
    assert!(said.contains("--since is later than --until"), "{said}");
}
