//! Looks up names for the memcgs of a book or of a walk, with timeouts.

use std::{
    mem,
    time::{Duration, Instant},
};

use memcg_trace_common::Hook;

use super::Book;
use crate::{
    attribution::{Names, Question},
    event::{Event, Key},
    record::{Learned, Record},
    source::names::{Occasion, Resolver},
    tracker::{State, Tracker},
};

/// How long to wait for names at the end of a run.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// How long a scan waits: 65,535 memcgs take a second or two.
const SCAN_WAIT: Duration = Duration::from_secs(10);

/// Requests the names that a book lacks.
pub struct NameFinder {
    resolver: Resolver,
    /// Whether a walk has been applied.
    walked: bool,
}

impl NameFinder {
    pub fn new(resolver: Resolver) -> Self {
        Self { resolver, walked: false }
    }

    /// Requests the names for the memcg of an event, before it is applied. `Some`: it is a new container; its names
    /// were waited for, at most for `patience`, which is reduced by the time taken.
    pub fn ask(&self, book: &Book, event: &Event, patience: &mut Duration) -> Option<Key> {
        let asked = match event.hook() {
            Hook::CssOnline | Hook::CgroupMkdir => Occasion::Born,
            Hook::CgroupRmdir | Hook::CssOfflineEnter => Occasion::Dying,
            _ => return None,
        };
        let (key, question) = book.question(event)?;
        let wait = asked == Occasion::Born && question.is_promising() && !patience.is_zero();
        self.resolver.ask(key, question, asked);
        if !wait {
            return None;
        }
        let start = Instant::now();
        self.resolver.wait_for(&key, *patience);
        *patience = patience.saturating_sub(start.elapsed());
        Some(key)
    }

    /// Requests the names of all memcgs found by a walk.
    pub fn ask_for_all(&mut self, book: &Book) {
        let first = !mem::replace(&mut self.walked, true);
        for (key, question, lives) in book.questions(first) {
            self.resolver.ask(key, question, if lives { Occasion::Lives } else { Occasion::Dying });
        }
    }

    /// Has what was requested looked up.
    pub fn wake(&self) {
        self.resolver.wake();
    }

    /// The names found so far, for memcgs that are in the book or are added next (`next`).
    pub fn found(&self, book: &Book, next: Option<Key>) -> Vec<Record> {
        let answers = self.resolver.answers().into_iter();
        let of_use = |key: &Key| Some(*key) == next || book.tracker().get(key).is_some();
        let answers = answers.filter(|(key, _)| of_use(key));
        answers.map(|(key, facts)| Record::Learned(Learned::Names { key, facts })).collect()
    }

    /// Waits for outstanding requests. Those without an answer then are missing.
    pub fn wait(&self) -> Option<Record> {
        self.resolver.wait_for_all(LAST_WAIT);
        self.resolver.missing().map(|missing| Record::Learned(Learned::NamesMissing(missing)))
    }
}

/// Names of all memcgs of a walk.
pub fn names_of_all(resolver: &Resolver, tracker: &Tracker) -> Names {
    for memcg in tracker.memcgs() {
        if let Some(question) = memcg.path.as_deref().and_then(Question::about) {
            let asked = if memcg.state == State::Online { Occasion::Lives } else { Occasion::Dying };
            resolver.ask(memcg.key, question, asked);
        }
    }
    resolver.wait_for_all(SCAN_WAIT);
    let mut names = Names::default();
    names.missing = resolver.missing();
    for (key, facts) in resolver.answers() {
        names.insert(key, &facts);
    }
    names
}
