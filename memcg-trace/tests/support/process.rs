//! memcg-trace as a process: its output and exit code.

use std::{
    env,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{DEADLINE, eventually};

/// Its message on stderr when all hooks are attached.
const READY: &str = "memcg-trace: tracing";

/// The program under test.
pub fn command() -> Command {
    // In a VM, the path of the program is given.
    let program = env::var_os("MEMCG_TRACE").unwrap_or_else(|| env!("CARGO_BIN_EXE_memcg-trace").into());
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs it until it exits by itself.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"))
}

/// A running memcg-trace; killed at the end of the test.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a tracing command and waits until it has attached.
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("run {command:?}: {error}"));
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || pass_on(stdout, &sender));
        }
        let stderr = child.stderr.take().expect("stderr is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let listener = thread::spawn({
            let said = said.clone();
            move || listen(stderr, &said)
        });
        let process = Self { child, lines, said, listener: Some(listener) };
        eventually("memcg-trace to attach", || {
            let ended = process.listener.as_ref().is_none_or(JoinHandle::is_finished);
            let said = process.said();
            if said.contains(READY) {
                return Ok(());
            }
            assert!(!ended, "memcg-trace ended: {said}");
            Err(said)
        });
        process
    }

    /// Its stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("nothing panics while it holds this").clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("signal memcg-trace");
    }

    /// The next line of its output.
    pub fn line(&self, timeout: Duration) -> Result<String, RecvTimeoutError> {
        self.lines.recv_timeout(timeout)
    }

    /// Waits for it to exit: returns the exit code, the remaining lines, and stderr.
    pub fn finish(mut self) -> (Option<i32>, Vec<String>, String) {
        let code = eventually("memcg-trace to end", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            Ok(None) => Err(self.said()),
            Err(error) => panic!("wait for memcg-trace: {error}"),
        });
        let lines = self.lines.iter().collect();
        // It has exited, so its output is complete.
        let _ = self.listener.take().map(JoinHandle::join);
        (code, lines, self.said())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if it has already exited, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time left of [`DEADLINE`].
pub fn left(since: std::time::Instant) -> Duration {
    DEADLINE.saturating_sub(since.elapsed())
}

fn pass_on(stdout: impl Read, lines: &Sender<String>) {
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        // The receiver is gone once the test is over.
        if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

fn listen(stderr: impl Read, said: &Mutex<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut said = said.lock().expect("nothing panics while it holds this");
        said.push_str(&line);
        said.push('\n');
    }
}
