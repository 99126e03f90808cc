//! A server that serves a recording, and the simplest of clients.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// So long that only a hang takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Killed at the end of the test.
pub struct Server {
    pub child: Child,
    pub address: String,
}

impl Server {
    /// At a port that the kernel chooses.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these variables in its environment.
    pub fn start_with(environment: &[(&str, &str)]) -> Self {
        let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/6.12-v2.recording");
        let mut command = Command::new(env!("CARGO_BIN_EXE_memcg-trace"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--replay"]).arg(recording);
        command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command.envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("run memcg-trace");
        let mut said = String::new();
        let stderr = child.stderr.take().expect("stderr is piped");
        BufReader::new(stderr).read_line(&mut said).expect("read its messages");
        let address = said.split('/').nth(2).unwrap_or_else(|| panic!("no address in {said:?}")).to_owned();
        let server = Self { child, address };
        while !server.get("/readyz", "").starts_with("HTTP/1.1 200") {
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("connect");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// What it answers to these bytes, until it closes the connection.
    pub fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // It may answer, and close, before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("answers are UTF-8")
    }

    /// `headers`: whole lines.
    pub fn get(&self, path: &str, headers: &str) -> String {
        self.ask(
            format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{headers}\r\n").as_bytes(),
        )
    }

    pub fn scrape(&self) -> String {
        let answer = self.get("/metrics", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\nmemcg_trace_leaked_memcgs "), "{answer}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
