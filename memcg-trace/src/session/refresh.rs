//! A timer for what nothing asks for.

use std::time::Duration;

use tokio::time::Instant;

/// Due at once, and then once in so much time.
#[derive(Debug)]
pub struct Refresh {
    every: Duration,
    next: Instant,
}

impl Refresh {
    pub fn every(every: Duration) -> Self {
        Self { every, next: Instant::now() }
    }

    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    pub fn restart(&mut self) {
        self.next = Instant::now() + self.every;
    }
}
