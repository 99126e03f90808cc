//! A real terminal: tmux, with a server of its own.

use std::{
    fs,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use super::eventually;

/// A terminal with a shell in it; gone at the end of the test.
pub struct Tmux {
    /// The server's socket.
    server: PathBuf,
}

/// The part of its state that programs change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalState {
    pub alternate_screen: bool,
    pub mouse: bool,
    pub cursor: bool,
    /// What stty(1) says of lines and echo.
    pub cooked: bool,
}

impl Tmux {
    pub fn start(columns: u16, lines: u16) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tmux = Self { server: format!("/dev/shm/memcg-trace-tmux-{}-{number}", process::id()).into() };
        let (x, y) = (columns.to_string(), lines.to_string());
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &x, "-y", &y, "env", "PS1=$ ", "sh"]);
        tmux.run(&["set-option", "-g", "set-clipboard", "on"]);
        tmux.wait_for("$");
        tmux
    }

    /// Keys by their names, as `Enter`, or text.
    pub fn types(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    pub fn resize(&self, columns: u16, lines: u16) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until this is on the screen; returns it.
    pub fn wait_for(&self, text: &str) -> String {
        eventually(&format!("{text:?} on the screen"), || {
            let screen = self.screen();
            if screen.contains(text) { Ok(screen) } else { Err(format!("\n{screen}")) }
        })
    }

    /// What was copied last.
    pub fn clipboard(&self) -> String {
        eventually("a text on the clipboard", || {
            let text = self.run(&["list-buffers", "-F", "#{buffer_sample}"]);
            if text.is_empty() { Err("none".to_owned()) } else { Ok(text) }
        })
    }

    /// The process that the shell runs in front.
    pub fn in_front(&self) -> String {
        self.run(&["display-message", "-p", "#{pane_current_command}"]).trim().to_owned()
    }

    /// As it is; the shell has to be in front.
    pub fn state(&self) -> TerminalState {
        let flags = self.flags();
        self.types(&["clear; stty -a | grep -o ' icanon\\| echo ' | wc -l; echo done", "Enter"]);
        let said = self.wait_for("\ndone");
        TerminalState { cooked: said.lines().any(|line| line.trim() == "2"), ..flags }
    }

    /// The same without stty, whoever is in front.
    pub fn flags(&self) -> TerminalState {
        let flags = self.run(&["display-message", "-p", "#{alternate_on}#{mouse_any_flag}#{cursor_flag}"]);
        let on = |place: usize| flags.as_bytes().get(place) == Some(&b'1');
        TerminalState { alternate_screen: on(0), mouse: on(1), cursor: on(2), cooked: false }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.server).args(arguments).env_remove("TMUX").env("TERM", "xterm-256color");
        let output = tmux.output().unwrap_or_else(|error| panic!("run {tmux:?}: {error}"));
        assert!(output.status.success(), "{tmux:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let kill = Command::new("tmux").arg("-S").arg(&self.server).arg("kill-server").status();
        if let Err(error) = kill.and_then(|_| fs::remove_file(&self.server)) {
            eprintln!("tmux is left running: {error}");
        }
    }
}
