//! A service manager: sd_notify(3).

use std::{env, fs, os::unix::net::UnixDatagram, path::PathBuf, process};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::server::{DEADLINE, Server};

/// The manager's socket; its file goes with it.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("memcg-trace-test-notify-{}", process::id()));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self { socket, path }
    }

    /// Waits for a message that begins so.
    fn hears(&self, begin: &str) {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).unwrap_or_else(|error| panic!("no {begin}: {error}"));
            if message[..length].starts_with(begin.as_bytes()) {
                return;
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn the_service_manager_is_told() {
    let manager = Manager::new();
    let path = manager.path.to_str().expect("a path in ASCII");
    let server = Server::start_with(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "100000")]);
    manager.hears("READY=1");
    manager.hears("STATUS=");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    kill(Pid::from_raw(server.child.id().cast_signed()), Signal::SIGTERM).expect("signal memcg-trace");
    manager.hears("STOPPING=1");
}
