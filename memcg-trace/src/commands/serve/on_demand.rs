//! Data that one thread makes for others, only when they want it, and never more often than they may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// What is younger is not made again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a reader waits for new data. Then it gets what there is: the maker may be busy with its own work.
const PATIENCE: Duration = Duration::from_secs(2);

/// The latest data, and whether newer data is wanted.
pub struct OnDemand<T> {
    latest: watch::Sender<Option<(Instant, Arc<T>)>>,
    wanted: AtomicBool,
    /// Of the maker.
    wake: Arc<Notify>,
}

impl<T> OnDemand<T> {
    /// `wake` is notified when data is wanted: once for all who want it until it is made, and then not for [`FRESH`].
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { latest: watch::Sender::new(None), wanted: AtomicBool::new(false), wake }
    }

    /// For the thread that makes it: costs nothing when nobody waits.
    pub fn make_if_wanted(&self, make: impl FnOnce() -> T) {
        if self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::Relaxed);
            self.latest.send_replace(Some((Instant::now(), Arc::new(make()))));
        }
    }

    /// Data that is at most a second old, or the newest there is; `None`: none was made so far.
    pub async fn get(&self) -> Option<Arc<T>> {
        let mut latest = self.latest.subscribe();
        let is_fresh = |made: &(Instant, Arc<T>)| made.0.elapsed() < FRESH;
        if !latest.borrow().as_ref().is_some_and(is_fresh) {
            if !self.wanted.swap(true, Ordering::Relaxed) {
                self.wake.notify_one();
            }
            // In vain: what there is.
            let _ = timeout(PATIENCE, latest.changed()).await;
        }
        latest.borrow().as_ref().map(|(_, data)| data.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_for_all_who_ask_within_a_second() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let wake = Arc::new(Notify::new());
        let data = OnDemand::new(wake.clone());
        data.make_if_wanted(|| panic!("nobody wants it"));
        // Nobody makes it, and the one who asks does not wait for ever.
        assert_eq!(runtime.block_on(data.get()), None);
        runtime.block_on(wake.notified());
        let mut made = 0;
        data.make_if_wanted(|| {
            made += 1;
            7
        });
        data.make_if_wanted(|| panic!("it was made"));
        let both = runtime.block_on(async { (data.get().await, data.get().await) });
        assert_eq!((both, made), ((Some(7.into()), Some(7.into())), 1));
    }
}
