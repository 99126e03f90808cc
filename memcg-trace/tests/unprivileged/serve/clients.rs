//! Clients: those that ask for something, and those that mean no good.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use memcg_trace::report::metrics::MetricsFormat;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::server::Server;

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn pages_and_formats() {
    let server = Server::start();
    let classic = server.scrape();
    assert!(classic.contains(MetricsFormat::Classic.content_type()), "{classic}");
    let open = server.get("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert!(open.contains(MetricsFormat::OpenMetrics.content_type()) && open.ends_with("# EOF\n"), "{open}");
    let leaks = server.get("/leaks.json", "");
    let (_, body) = leaks.split_once("\r\n\r\n").expect("a body");
    let leaks: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&leaks["schema"], &leaks["type"]), (&1.into(), &"leaks".into()));
    assert_eq!(leaks["leaked"].as_u64(), leaks["memcgs"].as_array().map(|memcgs| memcgs.len() as u64));
    for (request, expected) in [
        ("GET / HTTP/1.1", "200"),
        ("HEAD /metrics HTTP/1.1", "200"),
        ("GET /livez HTTP/1.0", "200"),
        ("GET /metrics?name=x HTTP/1.1", "200"),
        ("GET /metrics/ HTTP/1.1", "404"),
        ("GET /../etc/passwd HTTP/1.1", "404"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 1000000", "405"),
        ("BREW / HTTP/1.1", "405"),
        ("GET / HTTP/9.9", "400"),
        ("\x16\x03\x01", "400"),
    ] {
        let answer = server.ask(format!("{request}\r\nHost: node\r\nConnection: close\r\n\r\n").as_bytes());
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
}

#[test]
fn headers_are_bounded() {
    let server = Server::start();
    let long = server.get("/metrics", &format!("X-Long: {}\r\n", "x".repeat(1 << 20)));
    assert!(long.is_empty() || status(&long) == "431", "{long}");
    let many = server.get("/metrics", &"X-Many: x\r\n".repeat(1_000));
    assert!(many.is_empty() || status(&many) == "431", "{many}");
    server.scrape();
}

/// More connections than it keeps, all in the middle of their headers, and some that go away in the middle of an answer.
#[test]
fn slow_and_vanishing_clients_are_in_nobodys_way() {
    let server = Server::start();
    let mut slow: Vec<TcpStream> = (0..1_000)
        .map(|_| {
            let mut stream = server.connect();
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
            stream
        })
        .collect();
    server.scrape();
    for stream in &mut slow {
        let _ = stream.write_all(b"x");
    }
    server.scrape();
    // The oldest were closed for those that came after them.
    let closed = slow[0].read(&mut [0; 64]);
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    for _ in 0..50 {
        let mut stream = server.connect();
        let _ = stream.write_all(b"GET /leaks.json HTTP/1.1\r\nHost: node\r\n\r\n");
        drop(stream);
    }
    server.scrape();
}

#[test]
fn too_frequent_clients_are_told_so() {
    let server = Server::start();
    let mut stream = server.connect();
    let requests = "GET /livez HTTP/1.1\r\nHost: node\r\n\r\n".repeat(1_000);
    let _ = stream.write_all(requests.as_bytes());
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let answers = String::from_utf8_lossy(&answers);
    assert!(answers.contains("HTTP/1.1 200") && answers.contains("HTTP/1.1 429"), "{answers}");
}

#[test]
fn it_ends_by_sigterm_and_not_by_sighup() {
    let mut server = Server::start();
    let pid = Pid::from_raw(server.child.id().cast_signed());
    kill(pid, Signal::SIGHUP).expect("signal memcg-trace");
    server.scrape();
    // A client that never ends its request does not keep it.
    let mut stream = server.connect();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").expect("write");
    kill(pid, Signal::SIGTERM).expect("signal memcg-trace");
    assert_eq!(server.child.wait().expect("wait").code(), Some(0));
}
