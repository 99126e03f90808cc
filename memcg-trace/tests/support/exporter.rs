//! `memcg-trace serve` on this machine, and what it shows.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    ops::Deref,
    process::Command,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    DEADLINE, eventually,
    process::{Process, command},
};

/// Killed at the end of the test.
pub struct Exporter {
    process: Process,
    pages: Pages,
}

/// What is served at an address.
pub struct Pages {
    address: String,
}

impl Exporter {
    /// Starts it at a port that the kernel chooses, and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        Self::of(&mut command(), arguments)
    }

    /// The same for a command that a test made.
    pub fn of(command: &mut Command, arguments: &[&str]) -> Self {
        let process = Process::start(command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments));
        let said = process.said();
        let address = said.lines().find_map(|line| line.strip_prefix("memcg-trace: serving http://"));
        let address = address.and_then(|address| address.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("no address: {said}")).to_owned();
        let exporter = Self { process, pages: Pages::at(address) };
        exporter.await_ready();
        exporter
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it as a service manager does; returns its exit code.
    pub fn stop(self) -> Option<i32> {
        self.process.signal(Signal::SIGTERM);
        self.process.finish().0
    }
}

impl Deref for Exporter {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

impl Pages {
    pub fn at(address: String) -> Self {
        Self { address }
    }

    pub fn await_ready(&self) {
        eventually("memcg-trace to be ready", || {
            let answer = self.ask("/readyz").map_err(|error| error.to_string())?;
            if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
        });
    }

    /// Address and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn get(&self, path: &str) -> String {
        self.ask(path).expect("an answer in UTF-8")
    }

    fn ask(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The value of a series, as it is written.
    pub fn value(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a number"))
    }

    /// The leaked memcg at this path.
    pub fn leak(&self, path: &str) -> Option<Value> {
        let answer = self.get("/leaks.json");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let leaks: Value = serde_json::from_str(body).expect("JSON");
        let memcgs = leaks["memcgs"].as_array().expect("memcgs");
        memcgs.iter().find(|listed| listed["memcg"]["path"] == path).cloned()
    }
}
