//! Names from the node: what runtimes and kubelet know of a container while it lives, and some of it after.
//!
//! All of it is read by one thread. Files may be on a disk that hangs and sockets may be silent; the stream waits for
//! neither. Answers come when they come, each for the memcg that was asked about.

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

/// When what found nothing is tried again: runc writes its state after it made the cgroup.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(30), Duration::from_millis(120), Duration::from_millis(850)];
/// As many questions wait at most.
const WAITING_MAX: usize = 2 * ID_LIMIT as usize;

/// What was found out about a memcg.
pub type Answer = (Key, Vec<Facts>);

/// How a memcg came to be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was made just now: first in the queue, tried again, and the runtime is asked, too.
    Born,
    /// It lives: the runtime is asked, too.
    Lives,
    /// It is dying: files may remember.
    Dying,
}

/// The thread that finds names. It ends with the process, not with this: it may hang.
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
    /// In the order in which they are due.
    later: VecDeque<(Instant, Job)>,
    /// Of the urgent ones, those for which files were not read yet; and all that are not done with.
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

/// What is still to be tried.
enum Step {
    Files { attempt: usize },
    Sockets { known: Vec<Facts> },
}

impl Resolver {
    /// Starts the thread. It keeps the capability to read files that belong to others, and no other.
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

    /// The answer will be among [`Resolver::answers`], if there is one.
    pub fn ask(&self, key: Key, question: Question, asked: Asked) {
        let mut queue = self.shared.queue();
        if queue.open >= WAITING_MAX {
            if !std::mem::replace(&mut queue.full, true) {
                log::warn!("names are looked up too slowly: some will be missing");
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

    /// What was found since the last call.
    pub fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.shared.queue().answers)
    }

    /// Waits until files were read for the memcgs that were born; false if that takes longer.
    pub fn wait_for_born(&self, timeout: Duration) -> bool {
        self.wait(timeout, |queue| queue.urgent_open)
    }

    /// Waits until every question was looked into, be it in vain; false if that takes longer.
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
        // Nothing panics while it holds the lock, and no name is worth a trace.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; waits for it.
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
                    // While the container is there: what files did not say, its runtime may.
                    let step = Step::Sockets { known: facts };
                    queue.patient.push_back(Job { key, question, asked, step });
                    return self.answered.notify_all();
                }
                (attempt, !facts.is_empty())
            }
            Step::Sockets { known } => (0, !facts.is_empty() || !known.is_empty()),
        };
        match AGAIN.get(attempt) {
            // Hopeless ones, too: their runtime may be about to start.
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
