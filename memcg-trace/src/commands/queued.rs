//! Output of a run that never waits for its reader.
//!
//! The buffers of the kernel are drained by the thread that prints. A reader that stalls (a pager, a terminal after Ctrl-S, a
//! full pipe) would have it lose events, and keep it from stopping.

use std::{
    collections::VecDeque,
    io::{self, BufWriter, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{kernel::privileges, streams::say};

/// Most bytes that wait for their reader.
const LIMIT: usize = 4 << 20;
/// Bytes after which lines are passed to the thread at the latest.
const PORTION: usize = 64 << 10;
/// Bytes of one write: a pipe takes them as soon as its reader has read as much (PIPE_BUF).
const WRITE: usize = 4096;
/// How long the end waits for a reader that reads nothing.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What a run is printed to: lines, then the summary.
pub trait RunOutput: Write {
    /// The lines are complete: returns how many of them were dropped. None of the summary will be.
    fn begin_summary(&mut self) -> io::Result<u64>;

    /// Waits until everything is written.
    fn finish(&mut self) -> io::Result<()>;
}

/// Waits for its reader: a replay has time.
impl<W: Write> RunOutput for BufWriter<W> {
    fn begin_summary(&mut self) -> io::Result<u64> {
        Ok(0)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Lines for a thread that writes them. Those that find the queue full are dropped and counted. An error of the thread is
/// returned by the next flush.
pub struct QueuedOutput {
    shared: Arc<SharedQueue>,
    /// Not passed on so far.
    lines: Vec<u8>,
    limit: usize,
    dropped: u64,
}

#[derive(Default)]
struct SharedQueue {
    queue: Mutex<LineQueue>,
    queued: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct LineQueue {
    /// Whole lines, as they were passed on. In one buffer, which is copied when it grows, while the thread holds another, they took
    /// more than twice their size.
    portions: VecDeque<Vec<u8>>,
    /// Bytes of these and of the one that the thread has taken.
    unwritten: usize,
    /// Nothing more will come.
    closed: bool,
    failed: Option<(io::ErrorKind, String)>,
}

impl QueuedOutput {
    /// Starts the thread; it keeps no capability. Nobody waits for its end: its reader may never come back.
    pub fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(SharedQueue::default());
        let theirs = shared.clone();
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            privileges::keep_none();
            while theirs.write_to(&mut out) {}
        })?;
        Ok(Self { shared, lines: Vec::new(), limit: LIMIT, dropped: 0 })
    }

    /// Queues whole lines: all, or none of those that find no room.
    fn pass_on(&mut self) -> io::Result<()> {
        let whole = self.lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut queue = self.shared.lock();
        if let Some((kind, error)) = &queue.failed {
            return Err(io::Error::new(*kind, error.clone()));
        }
        let room = self.limit.saturating_sub(queue.unwritten).min(whole);
        let fits = match room {
            _ if room == whole => whole,
            _ => self.lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1),
        };
        if fits > 0 {
            queue.portions.push_back(self.lines[..fits].to_vec());
            queue.unwritten += fits;
        }
        drop(queue);
        self.shared.queued.notify_one();
        let dropped = self.lines[fits..whole].iter().filter(|byte| **byte == b'\n').count() as u64;
        if dropped > 0 && self.dropped == 0 {
            say("standard output is read too slowly: lines are dropped; the summary counts them");
        }
        self.dropped += dropped;
        self.lines.drain(..whole);
        Ok(())
    }
}

impl Write for QueuedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(bytes);
        if self.lines.len() >= PORTION {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

impl Drop for QueuedOutput {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.queued.notify_one();
    }
}

impl RunOutput for QueuedOutput {
    fn begin_summary(&mut self) -> io::Result<u64> {
        self.pass_on()?;
        self.limit = usize::MAX;
        Ok(self.dropped)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.pass_on()?;
        let mut queue = self.shared.lock();
        while queue.unwritten > 0 && queue.failed.is_none() {
            let before = queue.unwritten;
            let stuck = |queue: &mut LineQueue| queue.unwritten == before && queue.failed.is_none();
            let waited = self.shared.written.wait_timeout_while(queue, PATIENCE, stuck);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                let error = format!(
                    "cannot write to standard output: its reader reads nothing; the last {before} bytes are missing, the \
                     summary with them"
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, error));
            }
            queue = after;
        }
        match &queue.failed {
            Some((kind, error)) => Err(io::Error::new(*kind, error.clone())),
            None => Ok(()),
        }
    }
}

impl SharedQueue {
    fn lock(&self) -> MutexGuard<'_, LineQueue> {
        // Nothing panics while holding the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and writes them; false: there are no more, or they cannot be written.
    fn write_to(&self, out: &mut impl Write) -> bool {
        let waits = |queue: &mut LineQueue| queue.portions.is_empty() && !queue.closed;
        let queue = self.queued.wait_while(self.lock(), waits);
        let Some(portion) = queue.unwrap_or_else(PoisonError::into_inner).portions.pop_front() else {
            return false;
        };
        for part in portion.chunks(WRITE) {
            let written = out.write_all(part).and_then(|()| out.flush());
            let mut queue = self.lock();
            queue.unwritten -= part.len();
            queue.failed = written.err().map(|error| (error.kind(), error.to_string()));
            self.written.notify_one();
            if queue.failed.is_some() {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Takes a write when its reader asks for one.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (QueuedOutput, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        (QueuedOutput::start(Pipe(sender)).expect("a thread"), receiver)
    }

    /// A run of so many lines of 100 bytes.
    fn lines(output: &mut QueuedOutput, count: u64) {
        (0..count).for_each(|number| writeln!(output, "{number:099}").expect("it never waits"));
    }

    #[test]
    fn whole_lines_are_dropped_and_the_summary_is_kept() {
        const LINES: u64 = 100_000;
        let (mut output, reader) = pipe();
        lines(&mut output, LINES);
        let dropped = output.begin_summary().expect("nothing failed");
        lines(&mut output, LINES);
        let read = thread::spawn(move || reader.into_iter().flatten().collect::<Vec<u8>>());
        output.finish().expect("it is read");
        drop(output);
        let read = String::from_utf8(read.join().expect("it reads")).expect("ASCII");
        let numbers: Vec<u64> = read.lines().map(|line| line.parse().expect("a whole line")).collect();
        assert!(dropped > 0, "more than the limit");
        assert_eq!(numbers.len() as u64, LINES - dropped + LINES);
        assert!(numbers.ends_with(&(0..LINES).collect::<Vec<_>>()), "the summary is whole");
    }

    #[test]
    fn a_reader_that_reads_nothing_is_an_error() {
        let (mut output, reader) = pipe();
        lines(&mut output, 1);
        let error = output.finish().expect_err("it is not read");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(reader);
    }

    #[test]
    fn an_error_of_the_thread_ends_the_run() {
        let (mut output, reader) = pipe();
        drop(reader);
        lines(&mut output, 1);
        let error = output.finish().expect_err("nobody reads it");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        lines(&mut output, 1);
        assert_eq!(output.flush().expect_err("nobody reads it").kind(), io::ErrorKind::BrokenPipe);
    }
}
