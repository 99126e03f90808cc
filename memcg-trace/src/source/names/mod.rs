//! Looks up names on the node: facts that runtimes and kubelet have about a container while it exists, and some
//! afterwards.
//!
//! A separate thread does this. Disks may hang, and sockets may not answer; the stream waits for neither. Answers
//! arrive asynchronously, each for the memcg of its question.

mod bundle;
mod cache;
mod docker;
pub mod grpc;
mod kubelet;
mod kubernetes;
mod node;
mod root;
mod runc;
mod sockets;
mod storage;

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub use node::Node;

use crate::{
    attribution::{Facts, Question},
    event::{ID_LIMIT, Key},
    kernel::privileges,
};

/// Delays before retrying a question without an answer: runc writes its state after creating the cgroup.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(30), Duration::from_millis(120), Duration::from_millis(850)];
/// Maximum number of pending questions.
const WAITING_MAX: usize = 2 * ID_LIMIT as usize;

/// Facts found about a memcg.
pub type Answer = (Key, Vec<Facts>);

/// The reason for a question about a memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
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
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    asked: Condvar,
    answered: Condvar,
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Job>,
    patient: VecDeque<Job>,
    /// Sorted by due time.
    later: VecDeque<(Instant, Job)>,
    /// Number of urgent questions for which files have not been read, and of all open questions.
    urgent_open: usize,
    open: usize,
    answers: Vec<Answer>,
    full: bool,
}

struct Job {
    key: Key,
    question: Question,
    asked: Asked,
    step: Step,
}

/// The next step of a job.
enum Step {
    Files { attempt: usize },
    Sockets { known: Vec<Facts> },
}

impl Resolver {
    /// Starts the thread. It only keeps the capability to read other users' files.
    pub fn start(root: &Path) -> io::Result<Self> {
        let mut node = Node::open(root)?;
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        thread::Builder::new().name("names".to_owned()).spawn(move || {
            privileges::keep_reading_files();
            loop {
                let job = theirs.next();
                theirs.work(&mut node, job);
            }
        })?;
        Ok(Self { shared })
    }

    /// Asks a question. Its answer, if any, will be among [`Resolver::answers`].
    pub fn ask(&self, key: Key, question: Question, asked: Asked) {
        let mut queue = self.shared.queue();
        if queue.open >= WAITING_MAX {
            if !std::mem::replace(&mut queue.full, true) {
                log::warn!("looking up names takes too long: some will be missing");
            }
            return;
        }
        queue.open += 1;
        let job = Job { key, question, asked, step: Step::Files { attempt: 0 } };
        if asked == Asked::Born && job.question.is_promising() {
            queue.urgent_open += 1;
            queue.urgent.push_back(job);
        } else {
            queue.patient.push_back(job);
        }
        drop(queue);
        self.shared.asked.notify_one();
    }

    /// Answers since the last call.
    pub fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.shared.queue().answers)
    }

    /// Waits until files were read for all new memcgs; false on timeout.
    pub fn wait_for_born(&self, timeout: Duration) -> bool {
        self.wait(timeout, |queue| queue.urgent_open)
    }

    /// Waits until every question was processed, with or without an answer; false on timeout.
    pub fn wait_for_all(&self, timeout: Duration) -> bool {
        self.wait(timeout, |queue| queue.open - queue.later.len())
    }

    fn wait(&self, timeout: Duration, open: impl Fn(&Queue) -> usize) -> bool {
        let queue = self.shared.queue();
        let waited = self.shared.answered.wait_timeout_while(queue, timeout, |queue| open(queue) > 0);
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
            let due = queue.later.front().map(|(due, _)| *due);
            if let Some(job) = queue.urgent.pop_front() {
                return job;
            }
            if due.is_some_and(|due| due <= now)
                && let Some((_, job)) = queue.later.pop_front()
            {
                return job;
            }
            if let Some(job) = queue.patient.pop_front() {
                return job;
            }
            queue = match due {
                Some(due) => {
                    let woken = self.asked.wait_timeout(queue, due - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.asked.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn work(&self, node: &mut Node, job: Job) {
        let Job { key, question, asked, step } = job;
        let promising = question.is_promising();
        let hopeless = !promising && !node.takes_any_name();
        let facts = match &step {
            _ if hopeless => Vec::new(),
            Step::Files { .. } => node.files(&question),
            Step::Sockets { known } => node.sockets(&question, known),
        };
        let mut queue = self.queue();
        if !facts.is_empty() {
            queue.answers.push((key, facts.clone()));
        }
        let (attempt, known) = match step {
            Step::Files { attempt } => {
                queue.urgent_open -= usize::from(attempt == 0 && promising && asked == Asked::Born);
                let asks = attempt == 0 && asked != Asked::Dying && (promising || !facts.is_empty());
                if asks {
                    // The runtime may know facts that files did not have, while the container exists.
                    let step = Step::Sockets { known: facts };
                    queue.patient.push_back(Job { key, question, asked, step });
                    return self.answered.notify_all();
                }
                (attempt, !facts.is_empty())
            }
            Step::Sockets { known } => (0, !facts.is_empty() || !known.is_empty()),
        };
        match AGAIN.get(attempt) {
            // Also those without candidates: their runtime may be about to start.
            Some(pause) if !known && asked == Asked::Born => {
                let step = Step::Files { attempt: attempt + 1 };
                queue.postpone(Instant::now() + *pause, Job { key, question, asked, step });
            }
            _ => queue.open -= 1,
        }
        drop(queue);
        self.answered.notify_all();
    }
}

impl Queue {
    fn postpone(&mut self, due: Instant, job: Job) {
        let place = self.later.partition_point(|(other, _)| *other <= due);
        self.later.insert(place, (due, job));
    }
}
