//! `serve` with a real leak.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{self, Command},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use crate::support::{
    cgroup::Cgroup, eventually, evict_stocks, exporter::Exporter, machine, pins::TmpfsFile, storm::storm,
};

const ARGUMENTS: [&str; 4] = ["--grace", "1s", "--refresh", "2s"];

#[test]
fn a_leak_shows_with_its_pin_and_stays_over_a_restart() {
    let _machine = machine();
    // Nobody else's, and without a number: those of units are left out of the names of workloads.
    let letters: String =
        process::id().to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    let unit = format!("memcg-trace-test-{letters}.service");
    let series = |metric: &str| {
        format!("memcg_trace_workload_{metric}{{namespace=\"\",workload=\"{unit}\",kind=\"unit\"}}")
    };
    let exporter = Exporter::start(&ARGUMENTS);
    let cgroup = Cgroup::below_root(&unit);
    let file = TmpfsFile::written_in(&cgroup);
    cgroup.remove();
    let is_leaked = |exporter: &Exporter| {
        eventually("the leak to show", || match exporter.value(&series("leaked_memcgs")) {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?} leaked")),
        });
    };
    // The references of many memcgs are read in turn.
    let is_pinned = |exporter: &Exporter| {
        eventually("what pins it to be known", || {
            let leak = exporter.leak(cgroup.path()).ok_or("no leak")?;
            let pin = &leak["memcg"]["pinned"]["by"][0]["pin"];
            let pinned = exporter.value("memcg_trace_pinned_memcgs{pin=\"tmpfs\"}");
            if pin == "tmpfs" && pinned >= Some(1.0) { Ok(()) } else { Err(leak.to_string()) }
        });
    };
    is_leaked(&exporter);
    assert_eq!(exporter.value(&series("created_total")), Some(1.0));
    assert_eq!(exporter.value(&series("leaks_total")), Some(1.0));
    let charged = exporter.value(&series("leaked_charged_bytes")).expect("a gauge");
    assert!(charged >= TmpfsFile::BYTES as f64, "{charged} bytes");
    is_pinned(&exporter);
    assert_eq!(exporter.stop(), Some(0));

    let exporter = Exporter::start(&ARGUMENTS);
    // At once: nobody waits for the grace time again.
    assert_eq!(exporter.value(&series("leaked_memcgs")), Some(1.0));
    assert_eq!(exporter.value(&series("leaks_total")), Some(0.0));
    is_pinned(&exporter);
    drop(file);
    eventually("the leak to go", || {
        evict_stocks();
        match exporter.value(&series("leaked_memcgs")) {
            Some(0.0) => Ok(()),
            other => Err(format!("{other:?} leaked: {:?}", exporter.leak(cgroup.path()))),
        }
    });
    assert_eq!(exporter.stop(), Some(0));
}

/// Names and labels of all series, but for those of pins, one for each kind that was seen of any zombie of this machine.
fn series(page: &str) -> BTreeSet<String> {
    let of_pins = |line: &str| line.starts_with("memcg_trace_pinned_memcgs");
    let samples = page.lines().filter(|line| line.starts_with("memcg_trace_") && !of_pins(line));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Clients of every kind while cgroups come and go as fast as they can: every event arrives.
#[test]
fn no_client_delays_the_drain() {
    const PROCESSES: u32 = 2;
    const ROUNDS: u32 = 5_000;
    const SLOW: usize = 300;

    let _machine = machine();
    let exporter = Exporter::start(&ARGUMENTS);
    let online = "memcg_trace_lifecycle_events_total{event=\"online\"}";
    let home = Cgroup::home("attacked");
    storm(&home, 1, 10);
    let (before, created) = (series(&exporter.get("/metrics")), exporter.value(online).expect("a counter"));
    let address = exporter.address();
    let (over, scrapes) = (AtomicBool::new(false), AtomicU64::new(0));
    let attack = |client: &mut dyn FnMut()| {
        while !over.load(Ordering::Relaxed) {
            client();
        }
    };
    thread::scope(|scope| {
        // As fast as it answers; it may be dropped for a client that came later.
        scope.spawn(|| {
            attack(&mut || {
                let mut stream = TcpStream::connect(address).expect("connect");
                let request = b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
                let mut answer = Vec::new();
                let read = stream.write_all(request).and_then(|()| stream.read_to_end(&mut answer));
                let answered = read.is_ok() && answer.starts_with(b"HTTP/1.1 200");
                scrapes.fetch_add(u64::from(answered), Ordering::Relaxed);
            });
        });
        // Killed in the middle of an answer.
        scope.spawn(|| {
            let (host, port) = address.split_once(':').expect("an address");
            let asks = format!("exec 3<>/dev/tcp/{host}/{port}; printf 'GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n' >&3; head -c 9 <&3; sleep 60");
            attack(&mut || {
                let mut client = Command::new("bash").args(["-c", &asks]).stdout(process::Stdio::piped()).spawn().expect("run bash");
                let mut status = [0; 8];
                let _ = client.stdout.as_mut().expect("a pipe").read(&mut status);
                client.kill().expect("it waits");
                client.wait().expect("it is ours");
            });
        });
        // A byte now and then, on hundreds of connections.
        scope.spawn(|| {
            let connect = || TcpStream::connect(address).expect("connect");
            let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| connect()).collect();
            attack(&mut || {
                for stream in &mut slow {
                    if stream.write_all(b"G").is_err() {
                        *stream = connect();
                    }
                }
                thread::sleep(Duration::from_millis(10));
            });
        });
        storm(&home, PROCESSES, ROUNDS);
        over.store(true, Ordering::Relaxed);
    });
    let cgroups = f64::from(PROCESSES * ROUNDS);
    eventually("every event to arrive", || match exporter.value(online) {
        Some(count) if count >= created + cgroups => Ok(()),
        other => Err(format!("{other:?} of {}", created + cgroups)),
    });
    for (name, expected) in [("events_lost_total", 0.0), ("firings_missed_total", 0.0), ("conclusive", 1.0)] {
        assert_eq!(exporter.value(&format!("memcg_trace_{name}")), Some(expected), "{name}");
    }
    assert!(scrapes.into_inner() > 0);
    let after = series(&exporter.get("/metrics"));
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    assert_eq!(exporter.stop(), Some(0));
}
