//! `memcg-trace top` in a real terminal: what is on it, and that it is given back.

use std::{env, fs, path::PathBuf, process};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use memcg_trace::commands::top::terminal;

use crate::support::{
    cgroup::Cgroup,
    eventually, machine,
    process::{command, run},
    tmux::{TerminalState, Tmux},
};

/// In place of the screen's own test.
const PANICS: &str = "MEMCG_TRACE_TEST_PANICS";

const GIVEN_BACK: TerminalState =
    TerminalState { alternate_screen: false, mouse: false, cursor: true, cooked: true };

/// Files in memory, written from inside cgroups that were removed since: these stay.
struct Zombies {
    files: Vec<PathBuf>,
}

impl Zombies {
    fn leave(home: &Cgroup, count: u32) -> Self {
        let leave = |number: u32| {
            let file = PathBuf::from(format!("/dev/shm/memcg-trace-top-{}-{number}", process::id()));
            let child = home.child(format!("zombie-{number}"));
            let of = format!("of={}", file.display());
            child.run(process::Command::new("dd").args([
                "if=/dev/zero",
                &of,
                "bs=64k",
                "count=1",
                "status=none",
            ]));
            child.remove();
            file
        };
        Self { files: (0..count).map(leave).collect() }
    }
}

impl Drop for Zombies {
    fn drop(&mut self) {
        self.files.iter().for_each(|file| drop(fs::remove_file(file)));
    }
}

/// What is typed to a shell.
fn top(arguments: &str) -> String {
    let program = command().get_program().to_string_lossy().into_owned();
    format!("clear; {program} top --no-names {arguments}")
}

fn pid_of_top(tmux: &Tmux) -> Pid {
    eventually("memcg-trace in front", || match tmux.in_front().as_str() {
        "memcg-trace" => Ok(()),
        other => Err(other.to_owned()),
    });
    // The newest: the one that this test has started.
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_top = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        arguments.next().is_some_and(|program| program.ends_with(b"memcg-trace"))
            && arguments.next() == Some(b"top")
    };
    Pid::from_raw(pids.filter(is_top).max().expect("memcg-trace top"))
}

#[test]
fn the_screen_of_a_run() {
    let _machine = machine();
    let home = Cgroup::home("top");
    let tmux = Tmux::start(80, 24);
    tmux.types(&[&top("--grace 100ms"), "Enter"]);
    tmux.wait_for("1 Leaked");
    let zombies = Zombies::leave(&home, 3);
    // The youngest first: there may be others.
    tmux.types(&["r"]);
    let screen = tmux.wait_for("zombie-2");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("dying") && screen.contains("births") && screen.contains("? help"), "{screen}");
    let used = TerminalState { alternate_screen: true, mouse: true, cursor: false, cooked: false };
    assert_eq!(tmux.flags(), used);

    tmux.resize(120, 40);
    tmux.wait_for("Space pause");
    for (key, expected) in
        [("2", "WORKLOAD"), ("3", "Pins by kind"), ("4", "start with --slab"), ("5", "EVENT")]
    {
        tmux.types(&[key]);
        tmux.wait_for(expected);
    }
    tmux.types(&["1", "/", "zombie-1", "Enter"]);
    tmux.wait_for("/zombie-1: 1 of");
    tmux.types(&["Enter"]);
    let memcg = tmux.wait_for("memcg-trace explain");
    assert!(memcg.contains("leaked (the grace time is 100ms)") && memcg.contains("removed"), "{memcg}");
    tmux.types(&["y"]);
    let copied = tmux.clipboard();
    assert!(copied.starts_with("memcg-trace explain "), "{copied}");
    // It goes while it is looked at.
    drop(zombies);
    tmux.wait_for("not dying any more");
    tmux.types(&["Escape"]);
    tmux.types(&["q"]);
    eventually("the shell", || if tmux.in_front() == "sh" { Ok(()) } else { Err(tmux.screen()) });
    assert_eq!(tmux.state(), GIVEN_BACK);
}

#[test]
fn however_it_ends_the_terminal_is_given_back() {
    let _machine = machine();
    let tmux = Tmux::start(80, 24);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        tmux.types(&[&top(""), "Enter"]);
        tmux.wait_for("1 Leaked");
        kill(pid_of_top(&tmux), signal).expect("signal it");
        eventually("the shell", || if tmux.in_front() == "sh" { Ok(()) } else { Err(tmux.screen()) });
        assert_eq!(tmux.state(), GIVEN_BACK, "{signal}");
    }
    // Stopped, by its key and by others, and back.
    tmux.types(&[&top(""), "Enter"]);
    tmux.wait_for("1 Leaked");
    let top = pid_of_top(&tmux);
    tmux.types(&["C-z"]);
    for stop_again in [true, false] {
        eventually("the shell", || if tmux.in_front() == "sh" { Ok(()) } else { Err(tmux.screen()) });
        assert_eq!(tmux.state(), GIVEN_BACK);
        tmux.types(&["fg", "Enter"]);
        tmux.wait_for("1 Leaked");
        if stop_again {
            kill(top, Signal::SIGTSTP).expect("stop it");
        }
    }
    tmux.types(&["C-c"]);
    eventually("the shell", || if tmux.in_front() == "sh" { Ok(()) } else { Err(tmux.screen()) });
    assert_eq!(tmux.state(), GIVEN_BACK);
}

/// Its parent is gone, and whoever it has now may not wait for it.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which may contain anything.
    stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('Z'))
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let _machine = machine();
    let tmux = Tmux::start(80, 24);
    tmux.types(&[&top(""), "Enter"]);
    tmux.wait_for("1 Leaked");
    let top = pid_of_top(&tmux);
    drop(tmux);
    eventually("memcg-trace to end", || if has_ended(top) { Ok(()) } else { Err(format!("{top} runs")) });
}

#[test]
fn a_panic_gives_the_terminal_back() {
    if env::var_os(PANICS).is_some() {
        terminal::give_back_on_panic();
        terminal::take().expect("a terminal");
        panic!("on the screen");
    }
    let tmux = Tmux::start(120, 40);
    let test = env::current_exe().expect("this program");
    let again = format!(
        "clear; RUST_BACKTRACE=0 {PANICS}=1 {} --exact top::a_panic_gives_the_terminal_back --nocapture",
        test.display()
    );
    tmux.types(&[&again, "Enter"]);
    let screen = tmux.wait_for("test result");
    assert!(screen.contains("on the screen"), "what happened is told on the terminal:\n{screen}");
    assert_eq!(tmux.state(), GIVEN_BACK);
}

#[test]
fn a_pipe_gets_one_frame() {
    let _machine = machine();
    let output = run(command().args(["top", "--no-names", "--size", "100x30"]));
    let frame = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(frame.starts_with("memcg-trace") && frame.contains("IDs"), "{frame}");
    assert!(frame.lines().count() == 30 && !frame.contains('\x1b'), "{frame}");
}

#[test]
fn a_recording_that_begins_in_the_middle_of_a_run() {
    let _machine = machine();
    let home = Cgroup::home("top-record");
    let folder = PathBuf::from(format!("/dev/shm/memcg-trace-top-{}", process::id()));
    fs::create_dir(&folder).expect("a folder");
    let tmux = Tmux::start(120, 40);
    tmux.types(&[&format!("cd {}; {}", folder.display(), top("--grace 100ms")), "Enter"]);
    tmux.wait_for("1 Leaked");
    let zombies = Zombies::leave(&home, 1);
    // The youngest first: there may be others.
    tmux.types(&["r"]);
    tmux.wait_for("zombie-0");
    tmux.types(&["w"]);
    tmux.wait_for("recording to memcg-trace-");
    let more = home.child("while-it-is-recorded");
    more.remove();
    tmux.types(&["5"]);
    tmux.wait_for("while-it-is-recorded");
    tmux.types(&["w"]);
    tmux.wait_for("--replay shows it");
    tmux.types(&["q"]);
    eventually("the shell", || if tmux.in_front() == "sh" { Ok(()) } else { Err(tmux.screen()) });
    let recording = fs::read_dir(&folder).expect("the folder").flatten().next().expect("a recording").path();
    let output = run(command().args(["top", "--replay"]).arg(&recording).args(["--size", "200x1000"]));
    let frame = String::from_utf8_lossy(&output.stdout).into_owned();
    fs::remove_dir_all(&folder).expect("remove the folder");
    drop(zombies);
    // What was there before it began, too.
    assert!(frame.contains("zombie-0") && frame.contains("conclusive: nothing lost"), "{frame}");
}
