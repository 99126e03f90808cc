//! How long the parts of a look take, for whoever asks by `RUST_LOG=memcg_trace::kernel::pins=debug`: `cargo xtask bench` does.

use std::time::Instant;

/// Time since the last part ended.
pub(super) struct Laps(Instant);

impl Laps {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Ends a part.
    pub fn end(&mut self, part: &str) {
        log::debug!("{part}: {:.1} ms", self.0.elapsed().as_secs_f64() * 1e3);
        self.0 = Instant::now();
    }
}
