//! Others on the network of this machine: a query, and whoever is notified.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for JSON; errors are for those who try again.
pub fn get(address: &str, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path}?{} HTTP/1.0\r\nHost: node\r\n\r\n", query.join("&"))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| answer.clone())?;
    serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").expect("a String takes all");
        encoded
    })
}

/// What Alertmanager notifies. It listens until the process ends.
pub struct Webhook {
    port: u16,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let theirs = alerts.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(notice) = notice(stream) {
                    let of = notice["alerts"].as_array().cloned().unwrap_or_default();
                    theirs.lock().expect("nothing panics while it holds this").extend(of);
                }
            }
        });
        Self { port, alerts }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// All alerts so far, each as often as it was notified.
    pub fn alerts(&self) -> Vec<Value> {
        self.alerts.lock().expect("nothing panics while it holds this").clone()
    }
}

/// One POST of JSON.
fn notice(stream: TcpStream) -> Option<Value> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            _ if line.trim_end().is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}
