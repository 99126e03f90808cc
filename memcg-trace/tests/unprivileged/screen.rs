//! Golden frames: what `top` draws of recordings, and what keys and the mouse make of it.
//!
//! `UPDATE_GOLDEN=1 cargo test --test unprivileged screen` writes the files anew; read the difference before committing it.

use std::{collections::HashSet, fs, io, io::Cursor, iter, ops::Range, path::Path, sync::Arc};

use memcg_trace::{
    attribution::{ByOwner, FactSource, Facts, Runtime},
    cause::{Pin, Pinned, PinnedBy, Process},
    record::{
        End, Learned, PinsRead, Record, Start,
        recording::{TimeWindow, Writer},
    },
    report::text::Color,
    screen::{Action, Move, Player, Screen, Status, StatusKeeper, draw},
    session::{Book, Observer as _, Playback, Rollup},
};
use memcg_trace_common::Hook;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind},
    layout::Rect,
    style::{Color as CellColor, Style},
};

use crate::{
    compare::{ID, check_text, compare},
    events::{self, Fired, MS, css, key},
};

/// A recording of the repository.
fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    fs::read(folder.join(format!("{name}.recording"))).expect("a recording")
}

/// Facts that would do harm, if they could.
fn start() -> Start {
    Start {
        kernel: "6.12.1\x1b[2J".to_owned(),
        unknown: vec![("what pins memcgs".to_owned(), "no BTF".to_owned())],
        ..events::start()
    }
}

/// A minute of a node: names that would do harm, wide characters, every kind of pins, loss.
fn hostile() -> Vec<u8> {
    let start = start();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &start).expect("a Vec takes all");
    let mut fired: Vec<(u64, Fired)> = Vec::new();
    let names: [&[u8]; 8] = [
        ID.as_bytes(),
        "größe-日本語-コンテナ".as_bytes(),
        b"\x1b[2J\x1b[31mred",
        b"x  leaked | 12",
        "\u{202e}cba".as_bytes(),
        b"\xff\xfe",
        b"a-name-that-is-longer-than-any-terminal-is-wide-and-goes-on-and-on-and-on-and-on-and-on-and-on-and-on-to-its-end",
        "e\u{301}👩‍👩‍👧".as_bytes(),
    ];
    let pod = Facts {
        id: Some(ID.to_owned()),
        runtime: Some(Runtime::Containerd),
        pod: Some("web-7d4b9c6f5d-x2xzz".to_owned()),
        namespace: Some("prod\n".to_owned()),
        name: Some("nginx\x1b]0;owned\x07".to_owned()),
        image: Some("registry.example/nginx:1.27".to_owned()),
        ..Facts::of(FactSource::Cri)
    };
    for (serial, name) in (10..).zip(names) {
        let css = css(serial, name);
        let at = 1_000 + (serial - 10) * 500;
        fired.push((at, css.online()));
        fired.push((at + 2_000, css.rmdir()));
        fired.push((at + 2_010, css.offline_id_held(serial as u32)));
    }
    // Two a second come and go.
    for serial in 100..200 {
        let css = css(serial, format!("job-{serial}.service"));
        let at = 2_000 + (serial - 100) * 500;
        fired.push((at, css.online()));
        fired.push((at + 300, css.rmdir()));
        fired.push((at + 310, css.offline_id_released()));
        fired.push((at + 320, css.released()));
        fired.push((at + 330, css.free()));
    }
    fired.push((52_000, css(10, ID).alloc_child_fails(28)));
    fired.sort_by_key(|(at, _)| *at);
    let mut record = |record: Record| writer.record(&record).expect("a Vec takes all");
    record(Record::Learned(Learned::Names { key: key(10), facts: vec![pod] }));
    fired.into_iter().for_each(|(at, fired)| record(Record::Event(fired.at(at))));
    let by = |pin, refs, what: Option<&[u8]>, holder: Option<&[u8]>| PinnedBy {
        pin,
        refs,
        things: 2,
        what: what.map(Box::from),
        holder: holder.map(|comm| Process { pid: 4711, comm: Box::from(comm) }),
        holders: 3,
    };
    let pinned = |by: Vec<PinnedBy>| {
        let refs = by.iter().map(|by| by.refs).sum();
        let unexplained: u64 = by.iter().filter(|by| by.pin == Pin::Unexplained).map(|by| by.refs).sum();
        Pinned { refs, explained: refs - unexplained, complete: unexplained == 0, by }
    };
    let tmpfs = by(Pin::Tmpfs, 12_345, Some("/dev/shm/größe-日本語".as_bytes()), Some(b"evil\x1b[2J"));
    let of = vec![
        (key(10), pinned(vec![tmpfs.clone(), by(Pin::Task, 2, None, Some(b"sleep"))])),
        (key(11), pinned(vec![tmpfs, by(Pin::Unexplained, 7, None, None)])),
        (key(12), pinned(vec![by(Pin::Socket, 1, Some(b"tcp 10.0.0.1:443\n"), Some(b"sleep"))])),
        (key(13), pinned(vec![by(Pin::File, 300, Some(b"/var/log/\x1b[31mlog"), None)])),
    ];
    record(Record::Learned(Learned::Pins(PinsRead { t_ns: 53_000 * MS, of })));
    record(Record::Lost { t_ns: 54_000 * MS, hook: Hook::CssFree, cpu: 1, events: 12 });
    writer.time(60_000 * MS).expect("a Vec takes all");
    let end = End { ended_ns: 60_000 * MS, clock: start.clock, undecodable: 0 };
    writer.finish(&end).expect("a Vec takes all");
    file
}

type OneFile = iter::Once<io::Result<Cursor<Arc<[u8]>>>>;
type Shown = Player<Cursor<Arc<[u8]>>, OneFile, Box<dyn Fn() -> OneFile>>;

fn player(recording: Vec<u8>, at_s: Option<u64>) -> Shown {
    let bytes: Arc<[u8]> = recording.into();
    let open: Box<dyn Fn() -> OneFile> = Box::new(move || iter::once(Ok(Cursor::new(bytes.clone()))));
    let playback = Playback::open(open, TimeWindow::default(), Some(Rollup::new(ByOwner::Workload)))
        .expect("a recording");
    Player::new(playback, at_s.map(|at_s| at_s * 1_000 * MS)).expect("a replay")
}

fn screen(player: &mut Shown, columns: u16, lines: u16) -> Screen {
    Screen::new(Rect::new(0, 0, columns, lines), Arc::new(player.status()))
}

/// Types it: a character each, `\n` is Enter, `\x1b` Escape, `\t` Tab; returns what is to be done.
fn types(screen: &mut Screen, keys: &str) -> Vec<Action> {
    let code = |c| match c {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        '\t' => KeyCode::Tab,
        c => KeyCode::Char(c),
    };
    keys.chars().filter_map(|c| screen.key(KeyEvent::from(code(c)))).collect()
}

fn drawn(screen: &Screen, columns: u16, lines: u16, color: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("memory");
    terminal.draw(|frame| draw(screen, frame, color)).expect("memory").buffer.clone()
}

/// As it looks; a wide character hides the cell behind it.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for line in buffer.content().chunks(usize::from(buffer.area.width)) {
        let mut hidden = 0;
        let mut shown = String::new();
        for cell in line {
            if hidden == 0 {
                shown.push_str(cell.symbol());
                hidden = memcg_trace::report::text::width(cell.symbol());
            }
            hidden = hidden.saturating_sub(1);
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

fn shown(screen: &Screen, columns: u16, lines: u16) -> String {
    text(&drawn(screen, columns, lines, false))
}

#[test]
fn recordings_of_all_kinds_of_kernels() {
    let table: [(&str, &str, u16, u16, &str); 12] = [
        ("top-80", "6.12-v2", 80, 24, ""),
        ("top-120", "6.12-v2", 120, 40, ""),
        ("top-300", "6.12-v2", 300, 100, ""),
        ("top-el7", "3.10.0-1160.el7", 80, 24, ""),
        ("top-el7-blind", "3.10.0-1160.el7-blind", 120, 40, "a"),
        ("top-tracepoint", "tracepoint-no-walk", 80, 24, "a"),
        ("top-workloads", "6.1-v2", 80, 24, "2"),
        ("top-pins", "6.12-v2", 80, 24, "3"),
        ("top-slab", "6.12-v2", 80, 24, "4"),
        ("top-events", "7.2-v2", 120, 40, "5"),
        ("top-memcg", "6.12-v2", 80, 24, "\n"),
        ("top-help", "6.12-v2", 120, 40, "?"),
    ];
    for (name, recording, columns, lines, keys) in table {
        let mut screen = screen(&mut player(recorded(recording), None), columns, lines);
        assert_eq!(types(&mut screen, keys), [], "{name}");
        let text = shown(&screen, columns, lines);
        check_text(text.as_bytes(), Color::Off);
        compare(&format!("{name}.txt"), text.as_bytes());
    }
}

#[test]
fn hostile_names_and_wide_characters() {
    let table: [(&str, u16, u16, &str); 8] = [
        ("top-hostile-80", 80, 24, ""),
        ("top-hostile-120", 120, 40, ""),
        ("top-hostile-300", 300, 100, ""),
        ("top-hostile-workloads", 120, 24, "2"),
        ("top-hostile-pins", 80, 24, "3"),
        ("top-hostile-files", 80, 24, "3b"),
        ("top-hostile-holders", 80, 24, "3bb"),
        ("top-hostile-memcg", 80, 40, "/nginx\n\n"),
    ];
    for (name, columns, lines, keys) in table {
        let mut screen = screen(&mut player(hostile(), None), columns, lines);
        types(&mut screen, keys);
        let text = shown(&screen, columns, lines);
        check_text(text.as_bytes(), Color::Off);
        compare(&format!("{name}.txt"), text.as_bytes());
    }
}

/// Whatever the size, nothing panics, and no name leaves its place.
#[test]
fn every_size() {
    let mut player = player(hostile(), None);
    let mut screen = screen(&mut player, 80, 24);
    for keys in ["", "2", "3b", "4", "5", "1?", "\x1b\n", "\x1b/x"] {
        types(&mut screen, keys);
        for (columns, lines) in
            [(1, 1), (19, 30), (20, 4), (40, 9), (41, 15), (80, 24), (500, 3), (0, 0), (400, 100)]
        {
            screen.resize(Rect::new(0, 0, columns, lines));
            let buffer = drawn(&screen, columns, lines, true);
            assert!(buffer.content().iter().all(|cell| !cell.symbol().contains('\x1b')));
        }
    }
}

#[test]
fn without_colours_nothing_is_coloured() {
    let screen = screen(&mut player(hostile(), None), 80, 24);
    let colours = |color| {
        let buffer = drawn(&screen, 80, 24, color);
        let coloured = buffer.content().iter().filter(|cell| cell.fg != CellColor::Reset).count();
        let backgrounds = buffer.content().iter().filter(|cell| cell.bg != CellColor::Reset).count();
        (coloured > 0, backgrounds, buffer.content().iter().any(|cell| cell.style() != Style::reset()))
    };
    // The background is the terminal's; weight and inversion stay.
    assert_eq!(colours(true), (true, 0, true));
    assert_eq!(colours(false), (false, 0, true));
}

/// The lines of the list, top down.
fn listed(screen: &Screen) -> Vec<String> {
    let text = shown(screen, 300, 40);
    text.lines().skip(9).take(20).map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn lists_are_sorted_and_filtered() {
    let mut player = player(hostile(), None);
    let mut screen = screen(&mut player, 300, 40);
    let oldest = listed(&screen);
    assert_eq!(oldest.len(), 8);
    types(&mut screen, "r");
    let youngest = listed(&screen);
    assert!(oldest.iter().eq(youngest.iter().rev()), "{youngest:#?}");
    types(&mut screen, "r/sleep");
    assert_eq!(listed(&screen).len(), 2, "what it is pinned by counts, too");
    types(&mut screen, "\x1b");
    assert_eq!(listed(&screen), oldest, "Escape drops the filter");
    types(&mut screen, "/nothing has this name\n");
    assert!(listed(&screen).concat().contains("nothing matches"));
    types(&mut screen, "\x1b2");
    // Of a workload: its memcgs, by a filter.
    types(&mut screen, "/web\n\n");
    assert_eq!(listed(&screen).len(), 1);
    assert!(listed(&screen)[0].contains("web"));
}

#[test]
fn keys_that_are_for_others() {
    let copy = || Action::Copy("memcg-trace explain 10".to_owned());
    let table: [(&str, &[Action]); 9] = [
        ("q", &[Action::Quit]),
        ("\x1b", &[Action::Quit]),
        ("/q\x1b", &[]),
        ("?q", &[]),
        ("\n\x1bq", &[Action::Quit]),
        ("\ny", &[copy()]),
        ("w", &[]),
        ("tT", &[Action::Play(Move::By(1_000 * MS as i64)), Action::Play(Move::By(-1_000 * MS as i64))]),
        (" .+", &[Action::Play(Move::Toggle), Action::Play(Move::NextEvent), Action::Play(Move::Faster)]),
    ];
    for (keys, expected) in table {
        let mut screen = screen(&mut player(hostile(), None), 80, 24);
        assert_eq!(types(&mut screen, keys), expected, "{keys:?}");
    }
    let mut screen = screen(&mut player(hostile(), None), 80, 24);
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    for (c, action) in [('c', Action::Quit), ('z', Action::Suspend), ('l', Action::Redraw)] {
        types(&mut screen, "?/");
        assert_eq!(screen.key(control(c)), Some(action), "whatever is in front");
    }
}

#[test]
fn the_mouse_selects_sorts_and_opens() {
    let mut screen = screen(&mut player(hostile(), None), 80, 24);
    let click = |screen: &mut Screen, column, row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        screen.mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    };
    let (tabs, columns, first) = (6, 7, 8);
    click(&mut screen, 15, tabs);
    assert!(shown(&screen, 80, 24).contains("WORKLOAD"), "the second tab");
    click(&mut screen, 2, tabs);
    click(&mut screen, 8, columns);
    assert!(shown(&screen, 80, 24).contains("ID↓"));
    click(&mut screen, 8, columns);
    assert!(shown(&screen, 80, 24).contains("ID↑"));
    click(&mut screen, 30, first + 1);
    click(&mut screen, 30, first + 1);
    assert!(shown(&screen, 80, 24).contains("memcg ID     11,"), "{}", shown(&screen, 80, 24));
    click(&mut screen, 30, 40);
}

#[test]
fn a_replay_moves_in_time() {
    let mut moved = player(hostile(), Some(0));
    let at = |player: &mut Shown| {
        let status = player.status();
        let playback = status.playback.expect("a replay");
        (
            (playback.at_ns - playback.started_ns) / MS,
            status.totals.dying,
            status.totals.leaked,
            playback.playing,
        )
    };
    assert_eq!(at(&mut moved), (0, 0, 0, false));
    let table = [
        (Move::NextEvent, (500, 0, 0, false)),
        (Move::By(2_000 * MS as i64), (2_500, 1, 0, false)),
        (Move::PreviousEvent, (2_330, 1, 0, false)),
        (Move::By(-60_000 * MS as i64), (0, 0, 0, false)),
        (Move::Tenths(9), (53_100, 8, 8, false)),
        (Move::End, (59_000, 8, 8, false)),
        // From the end it plays from the start.
        (Move::Toggle, (0, 0, 0, true)),
    ];
    for (by, expected) in table {
        moved.move_by(by).expect("a replay");
        assert_eq!(at(&mut moved), expected, "{by:?}");
    }
    moved.move_by(Move::Faster).expect("a replay");
    assert!(moved.pass(2_000 * MS).expect("a replay"));
    assert_eq!(at(&mut moved).0, 20_000);
    assert!(moved.pass(20_000 * MS).expect("a replay"));
    assert_eq!(at(&mut moved), (59_000, 8, 8, false), "it stops at the end");

    // Wherever it came from, it is the same.
    let mut there = player(hostile(), Some(20));
    moved.move_by(Move::By(-39_000 * MS as i64)).expect("a replay");
    let frames = [&mut moved, &mut there].map(|player| {
        let mut screen = screen(player, 120, 40);
        types(&mut screen, "5");
        // The title has the speed.
        shown(&screen, 120, 40).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(frames[0], frames[1]);
}

#[test]
fn a_recording_that_was_cut_off_says_so() {
    let mut whole = hostile();
    whole.truncate(whole.len() - 40);
    let screen = screen(&mut player(whole, None), 120, 24);
    assert!(shown(&screen, 120, 24).lines().next().expect("a title").contains("truncated"));
}

/// So many memcgs that were removed and stay.
fn zombies(book: &mut Book, keeper: &mut StatusKeeper, serials: Range<u64>) {
    for serial in serials {
        let css = css(serial, format!("zombie-{serial:05}"));
        for fired in [css.online(), css.rmdir(), css.offline_id_held(1)] {
            book.apply(&Record::Event(fired.at(2_000 + serial)));
            keeper.changed(book, book.changes()).expect("it keeps all");
        }
    }
}

/// The look, once it has all.
fn look(book: &Book, keeper: &mut StatusKeeper, now_ms: u64) -> (Status, u32) {
    for looks in 1.. {
        let status = keeper.look(book, None, now_ms * MS);
        if keeper.is_complete() {
            return (status, looks);
        }
    }
    unreachable!("it counts on")
}

#[test]
fn what_stays_the_same_is_not_built_anew() {
    let mut book = Book::new(start(), Some(Rollup::new(ByOwner::Workload)));
    let mut keeper = StatusKeeper::new(book.start());
    zombies(&mut book, &mut keeper, 10..5_010);
    // Many new ones do not delay the drain for long: they come in portions.
    let (before, looks) = look(&book, &mut keeper, 8_000);
    assert_eq!((before.zombies.len(), looks), (5_000, 3));
    let (after, looks) = look(&book, &mut keeper, 9_000);
    assert!(Arc::ptr_eq(&before.zombies, &after.zombies) && Arc::ptr_eq(&before.events, &after.events));
    assert!(Arc::ptr_eq(&before.freed, &after.freed) && looks == 1);
    assert!(before.now_ns < after.now_ns, "but time passes");

    // One that goes leaves the others as they were.
    book.apply(&Record::Event(css(10, "zombie-00010").free().at(9_500)));
    keeper.changed(&book, book.changes()).expect("it keeps all");
    let (later, _) = look(&book, &mut keeper, 10_000);
    assert_eq!(later.zombies.len(), 4_999);
    let shared = |status: &Status| status.zombies.iter().map(Arc::as_ptr).collect::<HashSet<_>>();
    assert_eq!(shared(&later).intersection(&shared(&after)).count(), 4_999);
    // 15,000 events came between two looks: a few of them are kept, and that there were more.
    assert!(before.events.len() <= 200, "{}", before.events.len());
    let mut screen = Screen::new(Rect::new(0, 0, 120, 40), Arc::new(later));
    types(&mut screen, "5");
    assert!(
        shown(&screen, 120, 40).contains("after 14,800 events that are not shown"),
        "{}",
        shown(&screen, 120, 40)
    );
}

#[test]
fn a_pause_keeps_what_is_shown_and_a_selection_stays() {
    let mut book = Book::new(start(), None);
    let mut keeper = StatusKeeper::new(book.start());
    zombies(&mut book, &mut keeper, 10..20);
    let mut screen = Screen::new(Rect::new(0, 0, 120, 40), Arc::new(look(&book, &mut keeper, 3_000).0));
    // All that are dying, youngest first; the third one is selected.
    types(&mut screen, "arjj ");
    let paused = shown(&screen, 120, 40);
    assert!(paused.contains("PAUSED"));
    zombies(&mut book, &mut keeper, 20..25);
    screen.show(Arc::new(look(&book, &mut keeper, 4_000).0));
    assert_eq!(shown(&screen, 120, 40), paused, "it is looked at in peace");
    types(&mut screen, " ");
    assert!(shown(&screen, 120, 40).contains("zombie-00024"), "then it catches up");
    let opens = types(&mut screen, "\n");
    assert_eq!(opens, [Action::Explain(key(17))], "the one that was selected");
}
