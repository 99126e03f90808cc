//! Looks up names on the node: facts that runtimes and kubelet have about a container while it exists, and some
//! afterwards.
//!
//! A separate thread does this. Disks may hang, and sockets may not answer; the stream waits for neither. Answers
//! arrive asynchronously, each for the memcg of its question.

pub mod answers;
pub mod bundle;
mod cached;
mod docker;
mod fair;
pub mod grpc;
mod kubelet;
mod kubernetes;
mod later;
mod name_sources;
mod node_root;
mod queue;
mod runc;
mod sockets;
pub mod storage;

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub use name_sources::NameSources;

use self::queue::{Job, Queue, Step};
use crate::{
    attribution::{Facts, NamesMissing, Question},
    event::Key,
    kernel::privileges,
};

/// What was found out about a memcg.
pub type NameAnswer = (Key, Vec<Facts>);

/// The reason for a question about a memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It was just created: first in the queue, retried, and the runtime is queried, too.
    Born,
    /// It is live: the runtime is queried, too.
    Lives,
    /// It is dying: files may still have facts.
    Dying,
}

/// Handle of the thread that looks up names. The thread ends with the process, not with this, as it may hang.
pub struct Resolver {
    shared: Arc<Shared>,
    /// Something was asked that the thread was not woken for.
    pending: AtomicBool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    asked: Condvar,
    answered: Condvar,
}

impl Resolver {
    /// Starts the thread. It only keeps the capability to read other users' files.
    pub fn start(root: &Path) -> io::Result<Self> {
        let mut node = NameSources::open(root)?;
        let root = root.to_owned();
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        thread::Builder::new().name("names".to_owned()).spawn(move || {
            privileges::keep_reading_files(&root);
            loop {
                let job = theirs.next();
                theirs.work(&mut node, job);
            }
        })?;
        Ok(Self { shared, pending: AtomicBool::new(false) })
    }

    /// Asks a question. Its answer, if any, will be among [`Resolver::answers`]. What is not urgent has to wait for
    /// [`Resolver::wake`]: to wake the thread takes longer than to ask.
    pub fn ask(&self, key: Key, question: Question, asked: Occasion) {
        let job = Job { key, question, asked, step: Step::Files { attempt: 0 } };
        let urgent = job.is_urgent();
        self.shared.queue().ask(job);
        self.pending.store(true, Ordering::Relaxed);
        if urgent {
            self.wake();
        }
    }

    /// Wakes the thread, if something was asked since.
    pub fn wake(&self) {
        if self.pending.swap(false, Ordering::Relaxed) {
            self.shared.asked.notify_one();
        }
    }

    /// Answers since the last call.
    pub fn answers(&self) -> Vec<NameAnswer> {
        std::mem::take(&mut self.shared.queue().answers)
    }

    /// Waits until files were read for a memcg that was born; false if that takes longer.
    pub fn wait_for(&self, key: &Key, timeout: Duration) -> bool {
        self.wait(timeout, |queue| queue.born.contains(key))
    }

    /// Waits until every question was processed, with or without an answer; false on timeout.
    pub fn wait_for_all(&self, timeout: Duration) -> bool {
        self.wake();
        self.wait(timeout, |queue| queue.waiting() > 0)
    }

    /// What was not looked into so far, or given up; `None`: everything was.
    pub fn missing(&self) -> Option<NamesMissing> {
        self.shared.queue().missing()
    }

    fn wait(&self, timeout: Duration, open: impl Fn(&Queue) -> bool) -> bool {
        let queue = self.shared.queue();
        let waited = self.shared.answered.wait_timeout_while(queue, timeout, |queue| open(queue));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while holding the lock, and no name is worth losing a trace.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next job.
    fn next(&self) -> Job {
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            queue = match queue.next(now) {
                Ok(job) => return job,
                Err(Some(due)) => {
                    let woken = self.asked.wait_timeout(queue, due.saturating_duration_since(now));
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Err(None) => self.asked.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn work(&self, node: &mut NameSources, mut job: Job) {
        let start = Instant::now();
        let urgent = job.is_urgent();
        let promising = job.question.is_promising();
        let hopeless = !promising && !node.takes_any_name();
        let facts = match &job.step {
            _ if hopeless => Vec::new(),
            Step::Files { .. } => node.files(&job.question),
            Step::Sockets { known } => node.sockets(&job.question, known),
        };
        let given_up = !hopeless && facts.is_empty() && node.ran_out_of_time();
        let now = Instant::now();
        let mut queue = self.queue();
        queue.charge(&job.question.path, urgent, now - start);
        if given_up {
            queue.give_up(&job.question.path);
        }
        queue.born.remove(&job.key);
        let found = !facts.is_empty();
        if found {
            queue.answers.push((job.key, facts.clone()));
        }
        match &job.step {
            _ if given_up => queue.done(&job),
            // While the container is there: what files did not say, its runtime may.
            Step::Files { attempt }
                if job.asked != Occasion::Dying && (found || promising && *attempt == 0) =>
            {
                job.step = Step::Sockets { known: facts };
                queue.push(job);
            }
            Step::Files { attempt } if !found => {
                let attempt = *attempt;
                // Hopeless ones, too: their runtime may be about to start.
                queue.try_again(now, job, attempt);
            }
            Step::Sockets { known } if !found && known.is_empty() => queue.try_again(now, job, 0),
            _ => queue.done(&job),
        }
        drop(queue);
        self.answered.notify_all();
    }
}
