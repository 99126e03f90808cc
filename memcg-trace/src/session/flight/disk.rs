//! The thread that writes the files of a rotation: a disk that hangs keeps nobody from draining the buffers.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::directory::RotationDirectory;
use crate::{
    kernel::privileges,
    record::rotation::{RotationSize, segment_name},
    units::Size,
};

/// Most bytes that wait to be written.
const QUEUE_MAX: u64 = 32 << 20;
/// How long the end waits for a disk that takes nothing.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// After a disk was full, no more than fitted on it is kept for this long.
const FULL_FOR: Duration = Duration::from_secs(3_600);
/// Recordings that begin in the same millisecond.
const SAME_NAME: i64 = 1_000;

/// What the thread does.
pub enum Order {
    /// A file for recording `number`, with all of `head` or not at all.
    Begin {
        number: u32,
        at: Timestamp,
        head: Vec<u8>,
    },
    More(Vec<u8>),
    Close,
    /// Tells when everything before it is done.
    Tell(SyncSender<()>),
}

/// The thread, as whoever records sees it.
pub struct DiskWriter {
    orders: Orders,
}

/// Orders to the thread.
#[derive(Clone)]
pub struct Orders {
    sender: Sender<Order>,
    shared: Arc<DiskState>,
}

struct DiskState {
    queued_bytes: AtomicU64,
    /// What is kept at most: less than was asked for, if there is no room for that.
    max_bytes: AtomicU64,
    /// Of the latest recording that could not be written.
    failure: Mutex<Option<(u32, io::Error)>>,
}

impl DiskWriter {
    /// Starts the thread, which keeps no capability, and changes nothing but what is in the directory.
    pub fn start(directory: RotationDirectory, size: RotationSize) -> io::Result<Self> {
        let files = directory.list()?;
        let (sender, receiver) = channel();
        let shared = Arc::new(DiskState {
            queued_bytes: AtomicU64::new(0),
            max_bytes: AtomicU64::new(size.max_bytes),
            failure: Mutex::new(None),
        });
        let files = SegmentFiles {
            directory,
            files,
            open: None,
            size,
            asked: size,
            full: None,
            shared: shared.clone(),
        };
        thread::Builder::new().name("recording".to_owned()).spawn(move || files.write(&receiver))?;
        Ok(Self { orders: Orders { sender, shared } })
    }

    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// As large as the disk allows.
    pub fn size(&self) -> RotationSize {
        RotationSize { max_bytes: self.orders.shared.max_bytes.load(Ordering::Relaxed) }
    }

    /// The latest recording that could not be written, by its number, and why. Told once.
    pub fn failure(&self) -> Option<(u32, io::Error)> {
        self.orders.shared.failure().take()
    }

    /// Waits until everything is written, but not for long; returns whether it is.
    pub fn wait(&self) -> bool {
        let (done, told) = sync_channel(1);
        self.orders.give(Order::Tell(done)).is_ok() && told.recv_timeout(PATIENCE).is_ok()
    }
}

impl Orders {
    pub fn give(&self, order: Order) -> io::Result<()> {
        let bytes = order.bytes();
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 && queued > QUEUE_MAX {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the disk is slower than what is recorded"));
        }
        self.sender.send(order).map_err(|_| io::Error::other("its thread has ended"))
    }
}

impl Order {
    fn bytes(&self) -> u64 {
        match self {
            Self::Begin { head: bytes, .. } | Self::More(bytes) => bytes.len() as u64,
            Self::Close | Self::Tell(_) => 0,
        }
    }
}

impl DiskState {
    fn failure(&self) -> MutexGuard<'_, Option<(u32, io::Error)>> {
        // Nothing panics while holding the lock.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a rotation.
struct SegmentFiles {
    directory: RotationDirectory,
    /// Those that are closed, oldest first.
    files: Vec<(OsString, u64)>,
    open: Option<WrittenFile>,
    size: RotationSize,
    asked: RotationSize,
    /// When the disk was full.
    full: Option<Instant>,
    shared: Arc<DiskState>,
}

struct WrittenFile {
    number: u32,
    name: OsString,
    file: File,
    bytes: u64,
}

impl SegmentFiles {
    fn write(mut self, orders: &Receiver<Order>) {
        privileges::keep_changing(&self.directory);
        for order in orders {
            self.shared.queued_bytes.fetch_sub(order.bytes(), Ordering::Relaxed);
            match order {
                Order::Begin { number, at, head } => {
                    self.close();
                    if self.full.is_some_and(|full| full.elapsed() >= FULL_FOR) {
                        self.full = None;
                        self.resize(self.asked);
                    }
                    if let Err(error) = self.begin(number, at, &head) {
                        self.failed(number, error);
                    }
                }
                Order::More(bytes) => self.append(&bytes),
                Order::Close => self.close(),
                Order::Tell(done) => drop(done.try_send(())),
            }
        }
    }

    fn begin(&mut self, number: u32, at: Timestamp, head: &[u8]) -> io::Result<()> {
        self.make_room(head.len() as u64)?;
        let (name, mut file) = self.create(at)?;
        if let Err(error) = file.write_all(head) {
            // Nothing can be made of it.
            let _ = self.directory.remove(&name);
            return Err(error);
        }
        self.open = Some(WrittenFile { number, name, file, bytes: head.len() as u64 });
        Ok(())
    }

    /// Names tell milliseconds, and the clock may be set back.
    fn create(&self, at: Timestamp) -> io::Result<(OsString, File)> {
        let mut millisecond = 0;
        loop {
            let name =
                segment_name(at.saturating_add(SignedDuration::from_millis(millisecond)).unwrap_or(at));
            match self.directory.create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && millisecond < SAME_NAME => {
                    millisecond += 1;
                }
                other => return Ok((name.into(), other?)),
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let Some(before) = self.open.as_ref().map(|open| open.bytes) else { return };
        let more = bytes.len() as u64;
        let written = self.make_room(before + more).and_then(|()| match &mut self.open {
            Some(open) => open.file.write_all(bytes).inspect(|()| open.bytes += more),
            None => Ok(()),
        });
        let Err(error) = written else { return };
        let Some(open) = self.open.as_ref() else { return };
        // A part of it may have been written.
        if let Err(error) = open.file.set_len(before) {
            log::debug!("cannot cut {}: {error}", open.name.display());
        }
        let number = open.number;
        self.close();
        self.failed(number, error);
    }

    fn close(&mut self) {
        self.files.extend(self.open.take().map(|WrittenFile { name, bytes, .. }| (name, bytes)));
    }

    /// Removes the oldest until a file of `bytes` fits, which is not among them.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let Some(excess) = self.size.excess(self.files.iter().map(|(_, bytes)| *bytes), bytes) else {
            let all = Size { bytes: self.size.max_bytes };
            let said = format!("one recording takes more than all of {all}; pass a larger --record-max");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, said));
        };
        for _ in 0..excess {
            // One that stays is counted on, and so are those behind it.
            match self.files.first().map(|(name, _)| self.directory.remove(name)) {
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Some(_) => drop(self.files.remove(0)),
                None => break,
            }
        }
        Ok(())
    }

    /// On a full disk, what is there is all that there is room for: from then on the oldest makes room. If that is too
    /// little, more may have become free.
    fn failed(&mut self, number: u32, error: io::Error) {
        let kept: u64 = self.files.iter().map(|(_, bytes)| *bytes).sum();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded if kept > 0 => {
                self.full = Some(Instant::now());
                self.resize(RotationSize { max_bytes: kept });
            }
            io::ErrorKind::FileTooLarge => self.resize(self.asked),
            _ => {}
        }
        *self.shared.failure() = Some((number, error));
    }

    fn resize(&mut self, size: RotationSize) {
        self.size = size;
        self.shared.max_bytes.store(size.max_bytes, Ordering::Relaxed);
    }
}
