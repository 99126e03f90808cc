//! What is to be looked up, when, and what had to be left out.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{NameAnswer, Occasion, fair::Fair, later::Later};
use crate::{
    attribution::{Facts, NamesMissing, Question},
    event::{ID_LIMIT, Key},
};

/// When what found nothing is tried again, after the look before. runc writes its state some 20 ms after it made the cgroup,
/// and a container may be gone 200 ms later.
const AGAIN_MS: [u64; 7] = [8, 15, 30, 60, 120, 250, 500];
/// As many questions wait at most, of so many bytes.
const WAITING_MAX: usize = 2 * ID_LIMIT as usize;
const BYTES_MAX: usize = 64 << 20;
/// Slices of which it is told apart how many names are missing, and how much of a path that is.
const SLICES_MAX: usize = 1024;
const SLICE_LEVELS: usize = 3;
/// Of the time, those that were just born get at most this many parts of one more.
const URGENT_PARTS: u64 = 3;

/// Questions, and the answers that nobody took yet.
#[derive(Default)]
pub struct Queue {
    /// About memcgs that were just born; about all others, and what is asked of sockets.
    urgent: Fair<Job>,
    patient: Fair<Job>,
    /// Time that each of both took, ns, since both had something to do.
    took_ns: [u64; 2],
    later: Later<Job>,
    /// Of the urgent ones, those that were not looked up yet.
    pub born: HashSet<Key>,
    /// All that are not done with.
    open: usize,
    bytes: usize,
    pub answers: Vec<NameAnswer>,
    missing: Missing,
}

#[derive(Debug)]
pub struct Job {
    pub key: Key,
    pub question: Question,
    pub asked: Occasion,
    pub step: Step,
}

/// What is still to be tried.
#[derive(Debug)]
pub enum Step {
    Files { attempt: usize },
    Sockets { known: Vec<Facts> },
}

/// Questions that nobody looked into, or not to the end.
#[derive(Clone, Default)]
struct Missing {
    memcgs: u64,
    of_slice: HashMap<Box<[u8]>, u64>,
}

impl Job {
    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.question.path.len()
    }

    pub fn is_urgent(&self) -> bool {
        self.asked == Occasion::Born
            && matches!(self.step, Step::Files { .. })
            && self.question.is_promising()
    }

    /// Nothing was found yet, and something may be.
    fn is_unanswered(&self) -> bool {
        match &self.step {
            Step::Files { attempt } => *attempt == 0,
            Step::Sockets { known } => known.is_empty(),
        }
    }
}

impl Queue {
    /// A new question; if there are too many, whoever has the most loses one.
    pub fn ask(&mut self, job: Job) {
        if job.is_urgent() {
            self.born.insert(job.key);
        }
        self.open += 1;
        self.bytes += job.bytes();
        self.push(job);
        while self.open > WAITING_MAX || self.bytes > BYTES_MAX {
            let fullest =
                if self.urgent.len() > self.patient.len() { &mut self.urgent } else { &mut self.patient };
            let Some(lost) = fullest.pop_from_fullest().or_else(|| self.later.pop_last()) else { return };
            if lost.is_unanswered() {
                self.missing.count(&lost.question.path);
            }
            self.done(&lost);
        }
    }

    /// One more step of a question that is open.
    pub fn push(&mut self, job: Job) {
        let queue = if job.is_urgent() { &mut self.urgent } else { &mut self.patient };
        queue.push(&job.question.path.clone(), job);
    }

    /// What is next now; or when something will be, if it is known.
    pub fn next(&mut self, now: Instant) -> Result<Job, Option<Instant>> {
        while let Some(job) = self.later.pop_due(now) {
            self.push(job);
        }
        let [urgent_ns, patient_ns] = self.took_ns;
        let patients_turn = urgent_ns > URGENT_PARTS * patient_ns;
        let job = match (self.urgent.len(), self.patient.len()) {
            (0, 0) => None,
            (0, _) => self.patient.pop(),
            (_, 0) => self.urgent.pop(),
            _ if patients_turn => self.patient.pop(),
            _ => self.urgent.pop(),
        };
        let job = job.ok_or_else(|| self.later.first_due())?;
        self.give_up_birth(&job);
        Ok(job)
    }

    /// Of a cgroup that is gone, whose path promises nothing, this is the last look: no runtime is about to start there.
    fn give_up_birth(&mut self, job: &Job) {
        if job.asked == Occasion::Dying
            && !job.question.is_promising()
            && let Some(birth) = self.later.take(&job.key)
        {
            self.done(&birth);
        }
    }

    /// A look took so long.
    pub fn charge(&mut self, path: &[u8], urgent: bool, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let queue = if urgent { &mut self.urgent } else { &mut self.patient };
        queue.charge(path, took_ns);
        if self.urgent.len() == 0 || self.patient.len() == 0 {
            self.took_ns = [0; 2];
        } else {
            self.took_ns[usize::from(!urgent)] += took_ns;
        }
    }

    /// Tries again later what found nothing; not, if it was tried often enough.
    pub fn try_again(&mut self, now: Instant, job: Job, attempt: usize) {
        let Some(pause) = AGAIN_MS.get(attempt).filter(|_| job.asked == Occasion::Born) else {
            return self.done(&job);
        };
        let again = Job { step: Step::Files { attempt: attempt + 1 }, ..job };
        self.later.push(now + Duration::from_millis(*pause), again.key, again);
    }

    pub fn done(&mut self, job: &Job) {
        self.born.remove(&job.key);
        self.open -= 1;
        self.bytes -= job.bytes();
    }

    /// Its look was given up.
    pub fn give_up(&mut self, path: &[u8]) {
        self.missing.count(path);
    }

    /// Questions that nobody looked into yet, be it in vain.
    pub fn waiting(&self) -> usize {
        self.open - self.later.len()
    }

    /// How many names are missing as of now.
    pub fn missing(&self) -> Option<NamesMissing> {
        let mut missing = self.missing.clone();
        let mut count = |job: &Job| {
            if job.is_unanswered() {
                missing.count(&job.question.path);
            }
        };
        self.urgent.for_each(&mut count);
        self.patient.for_each(&mut count);
        missing.told()
    }
}

impl Missing {
    fn count(&mut self, path: &[u8]) {
        self.memcgs += 1;
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let end = above.take(SLICE_LEVELS + 1).last().unwrap_or(0);
        let slice = if end == 0 { &b"/"[..] } else { &path[..end] };
        if let Some(count) = self.of_slice.get_mut(slice) {
            *count += 1;
        } else if self.of_slice.len() < SLICES_MAX {
            self.of_slice.insert(slice.into(), 1);
        }
    }

    fn told(self) -> Option<NamesMissing> {
        let most = self.of_slice.into_iter().max_by(|(a, x), (b, y)| (x, b).cmp(&(y, a)));
        let (slice, of_slice) = most?;
        Some(NamesMissing { memcgs: self.memcgs, slice, of_slice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(serial: u64, path: String, asked: Occasion) -> Job {
        let ids = vec![("of a container".to_owned(), None)];
        let question = Question { path: path.into_bytes().into(), ids, pod_uid: None };
        Job { key: Key { css: serial, serial }, question, asked, step: Step::Files { attempt: 0 } }
    }

    #[test]
    fn who_asks_too_much_loses_names_and_is_named() {
        let mut queue = Queue::default();
        let tenant = |number: u64| format!("/user.slice/user-1000.slice/app.slice/d{number}/{number:064x}");
        for number in 0..WAITING_MAX as u64 + 100 {
            queue.ask(job(number, tenant(number), Occasion::Born));
        }
        let key = |number| u64::MAX - number;
        (0..50)
            .for_each(|number| queue.ask(job(key(number), format!("/docker/{number:064x}"), Occasion::Born)));
        let missing = queue.missing().expect("some are missing");
        assert_eq!(
            (missing.of_slice, &*missing.slice),
            (WAITING_MAX as u64 + 100, &b"/user.slice/user-1000.slice/app.slice"[..])
        );
        assert_eq!(missing.memcgs, WAITING_MAX as u64 + 150);
        let mut of_docker = 0;
        for _ in 0..120 {
            let job = queue.next(Instant::now()).expect("a job");
            queue.charge(&job.question.path, true, Duration::from_micros(50));
            of_docker += u32::from(job.question.path.starts_with(b"/docker"));
            queue.done(&job);
        }
        assert_eq!(of_docker, 50);
        assert_eq!(queue.missing().map(|missing| missing.memcgs), Some(WAITING_MAX as u64 + 30));
    }

    #[test]
    fn long_paths_are_fewer() {
        let mut queue = Queue::default();
        let deep = "/d".repeat(2000);
        (0..WAITING_MAX as u64).for_each(|number| queue.ask(job(number, deep.clone(), Occasion::Lives)));
        assert!(queue.bytes <= BYTES_MAX && queue.open < WAITING_MAX / 5, "{} {}", queue.bytes, queue.open);
    }

    #[test]
    fn births_leave_time_for_the_others() {
        let mut queue = Queue::default();
        for number in 0..1000 {
            queue.ask(job(number, format!("/docker/{number:064x}"), Occasion::Born));
            queue.ask(job(number + 1000, format!("/old/{number:064x}"), Occasion::Lives));
        }
        let mut born = 0;
        for _ in 0..400 {
            let job = queue.next(Instant::now()).expect("a job");
            queue.charge(&job.question.path, job.is_urgent(), Duration::from_micros(50));
            born += u32::from(job.is_urgent());
            queue.done(&job);
        }
        assert!((299..=301).contains(&born), "{born}");
    }

    /// Looks until nothing is open, none of which finds anything, at a memcg that is removed after so many.
    fn looks_until_dead(question: &Question, alive: usize) -> usize {
        let (mut queue, mut now, mut looks) = (Queue::default(), Instant::now(), 0);
        let ask = |asked| Job { question: question.clone(), ..job(1, String::new(), asked) };
        queue.ask(ask(Occasion::Born));
        while queue.open > 0 {
            if looks == alive {
                queue.ask(ask(Occasion::Dying));
            }
            match queue.next(now) {
                Ok(job) => {
                    let Step::Files { attempt } = job.step else { unreachable!("nothing was found") };
                    queue.try_again(now, job, attempt);
                    looks += 1;
                }
                Err(due) => now = due.expect("it is tried again"),
            }
        }
        assert_eq!((queue.bytes, queue.later.len(), queue.missing()), (0, 0, None));
        looks
    }

    #[test]
    fn what_found_nothing_is_tried_again_and_what_is_gone_once_more() {
        const NEVER: usize = usize::MAX;
        let about = |path: &str| Question::about(path.as_bytes()).expect("a question");
        let (ct, pod) = (about("/default/ct"), about(&format!("/docker/{:064x}", 7)));
        for (question, alive, looks) in [
            (&ct, NEVER, AGAIN_MS.len() + 1),
            (&ct, 0, 2),
            (&ct, 1, 2),
            (&ct, 4, 5),
            // Its files may be written late.
            (&pod, 1, AGAIN_MS.len() + 2),
        ] {
            assert_eq!(looks_until_dead(question, alive), looks, "{question:?}, removed after {alive}");
        }
    }
}
