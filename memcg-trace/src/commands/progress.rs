//! A line on stderr that says what takes so long.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What takes less needs no word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Speaks every second until it is dropped. Where stderr is no terminal it speaks once.
pub struct Progress {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub fn start(doing: String) -> Self {
        let (done, is_done) = mpsc::channel();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let terminal = io::stderr().is_terminal();
            let mut spoke = false;
            while is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let seconds = started.elapsed().as_secs();
                // Nobody to tell is no reason to fail.
                let _ = match (terminal, spoke) {
                    (true, _) => write!(io::stderr(), "\rmemcg-trace: {doing}: {seconds}s "),
                    (false, false) => writeln!(io::stderr(), "memcg-trace: {doing}"),
                    (false, true) => Ok(()),
                };
                spoke = true;
            }
            if terminal && spoke {
                let _ = writeln!(io::stderr());
            }
        });
        Self { done: Some(done), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
