//! The service manager: sd_notify(3), by its protocol, a datagram to a socket that the environment names.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net::SocketAddr, net::UnixDatagram},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Tells the manager that started this process, if there is one and it wants to know.
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// How often the watchdog wants to hear of us; half of what it waits for.
    watchdog: Option<Duration>,
    heard: Instant,
}

impl Notifier {
    /// By the environment: NOTIFY_SOCKET, and WATCHDOG_USEC if WATCHDOG_PID is this process.
    pub fn from_environment() -> Result<Self> {
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours);
        let socket = env::var_os("NOTIFY_SOCKET").map(|path| match path.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(path),
        });
        let connect = |address| {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            // The manager may be busy, and the drain must not wait for it.
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = socket.map(|address| address.and_then(connect)).transpose();
        Ok(Self {
            socket: socket.context("cannot reach the service manager at NOTIFY_SOCKET")?,
            watchdog: watchdog.map(|us| Duration::from_micros(us) / 2),
            heard: Instant::now(),
        })
    }

    /// Everything is attached.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// For `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// To be called from the loop whose end the watchdog is to notice.
    pub fn alive(&mut self) {
        if self.watchdog.is_some_and(|watchdog| self.heard.elapsed() >= watchdog) {
            self.heard = Instant::now();
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, message: &str) {
        let sent = self.socket.as_ref().map(|socket| socket.send(message.as_bytes())).transpose();
        if let Err(error) = sent {
            log::debug!("cannot tell the service manager {message}: {error}");
        }
    }
}
