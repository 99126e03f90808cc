//! A limit for requests, of all clients together: a token bucket.

use std::time::Instant;

/// Requests a second, and how many may come at once. A Prometheus asks four times a minute.
const RATE: f64 = 200.0;

/// Requests that are left.
#[derive(Debug)]
pub struct RequestRate {
    left: f64,
    filled: Instant,
}

impl RequestRate {
    pub fn new() -> Self {
        Self { left: RATE, filled: Instant::now() }
    }

    /// Whether one more is allowed now.
    pub fn allows(&mut self) -> bool {
        self.allows_at(Instant::now())
    }

    fn allows_at(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled);
        self.left = (self.left + elapsed.as_secs_f64() * RATE).min(RATE);
        self.filled = now;
        let allowed = self.left >= 1.0;
        self.left -= f64::from(u8::from(allowed));
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut rate = RequestRate::new();
        let start = rate.filled;
        let mut allowed = |at: Instant| (0..1_000).filter(|_| rate.allows_at(at)).count();
        assert_eq!(allowed(start), 200);
        assert_eq!(allowed(start + Duration::from_millis(500)), 100);
        assert_eq!(allowed(start + Duration::from_secs(60)), 200);
    }
}
