//! What the thread that drains shows to the thread that serves.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::on_demand::OnDemand;
use crate::report::metrics::{MetricsFormat, MetricsView, encode, families};

/// A drain that did not come back for this long hangs.
const ALIVE: Duration = Duration::from_secs(10);

/// Shared by both threads; neither ever waits for the other for longer than a copy takes.
pub struct Board {
    pub metrics: OnDemand<MetricsPage>,
    /// JSON.
    pub leaks: OnDemand<Bytes>,
    /// Notified when one of them is wanted.
    wake: Arc<Notify>,
    began: Instant,
    /// When the last drain ended, ms since `began`; 0: none so far.
    drained_ms: AtomicU64,
    ready: AtomicBool,
}

/// A view, rendered once in each format that somebody asks for.
pub struct MetricsPage {
    view: MetricsView,
    classic: OnceLock<Bytes>,
    open: OnceLock<Bytes>,
}

impl Board {
    pub fn new() -> Self {
        let wake = Arc::new(Notify::new());
        Self {
            metrics: OnDemand::new(wake.clone()),
            leaks: OnDemand::new(wake.clone()),
            wake,
            began: Instant::now(),
            drained_ms: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }

    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// A drain ended.
    pub fn drained(&self) {
        let ms = self.began.elapsed().as_millis() as u64;
        self.drained_ms.store(ms.max(1), Ordering::Relaxed);
    }

    /// Whether it drains; what has not begun yet counts as alive.
    pub fn is_alive(&self) -> bool {
        match self.drained_ms.load(Ordering::Relaxed) {
            0 => true,
            ms => self.began.elapsed() < Duration::from_millis(ms) + ALIVE,
        }
    }

    /// Hooks are attached, and existing memcgs are in the ledger.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

impl MetricsPage {
    pub fn new(view: MetricsView) -> Self {
        Self { view, classic: OnceLock::new(), open: OnceLock::new() }
    }

    pub fn render(&self, format: MetricsFormat) -> Bytes {
        let rendered = match format {
            MetricsFormat::Classic => &self.classic,
            MetricsFormat::OpenMetrics => &self.open,
        };
        let render = || {
            let mut out = Vec::new();
            match encode(&mut out, &families(&self.view), format) {
                Ok(()) => out.into(),
                // A vector takes everything.
                Err(_) => Bytes::new(),
            }
        };
        rendered.get_or_init(render).clone()
    }
}
