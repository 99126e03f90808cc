//! What `memcg-trace serve` takes: at rest, while cgroups come and go, and for a scrape of a node with many zombies.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::churn::Churn;
use super::table::{Row, Unit};
use super::tracer::{Running, Tracer};
use super::usage::Usage;
use super::zombies::{Node, Zombies};

/// Pods that are gone, each with its container: two zombies.
const PODS: usize = 5_000;
/// Parts of the time at rest, and how long each is.
const RESTS: usize = 6;
const REST: Duration = Duration::from_secs(10);
/// Rounds of mkdir and rmdir, and their cycles.
const ROUNDS: usize = 5;
const CYCLES: usize = 3_000;
const SCRAPES: usize = 15;
/// A page is made anew when it is older than a second.
const STALE: Duration = Duration::from_millis(1100);
/// Until it is ready, or has seen the zombies.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of the table. `scratch` is for what a node knows of the pods.
pub fn rows(loader: &Path, scratch: &Path) -> Result<Vec<Row>> {
    let churn = Churn::new()?;
    let node = Node::new(scratch.join("bench-node"))?;
    let arguments = ["--listen", "127.0.0.1:0", "--grace", "1s", "--host-root", node.root()];
    let running = Tracer::serve(loader, &arguments).start()?;
    let serve = Serve::ready(running)?;
    let rest = (0..RESTS).map(|_| serve.cpu_percent()).collect::<Result<_>>()?;
    let rss_mib = serve.usage()?.rss_mib;
    let churned = (0..ROUNDS).map(|_| serve.cpu_us(&churn)).collect::<Result<_>>()?;
    let zombies = Zombies::leave(&churn, &node, PODS)?;
    serve.await_leaked(zombies.count())?;
    let scrapes = (0..SCRAPES).map(|_| serve.scrape_ms()).collect::<Result<_>>()?;
    let (_, page) = serve.get("/metrics")?;
    let series = page.lines().filter(|line| line.starts_with("memcg_trace_")).count();
    let sick = (0..RESTS).map(|_| serve.cpu_percent()).collect::<Result<_>>()?;
    let sick_mib = serve.usage()?.rss_mib;
    let count = zombies.count();
    drop(zombies);
    serve.running.stop()?;
    let of = format!("with {count} zombies of {PODS} pods");
    Ok(vec![
        Row::new("CPU of serve at rest".to_owned(), Unit::Percent, rest).at_most(Some(0.5)),
        Row::new("RSS of serve at rest".to_owned(), Unit::Mebibytes, vec![rss_mib]).at_most(Some(32.0)),
        Row::new("CPU time of serve for one mkdir+rmdir".to_owned(), Unit::Microseconds, churned),
        Row::new(format!("scrape {of}"), Unit::Milliseconds, scrapes).at_most(Some(5.0)),
        Row::new(format!("series {of}"), Unit::Number, vec![series as f64]).at_most(Some(200.0)),
        Row::new(format!("CPU of serve {of}"), Unit::Percent, sick),
        Row::new(format!("RSS of serve {of}"), Unit::Mebibytes, vec![sick_mib]),
    ])
}

/// A service that is ready.
struct Serve {
    running: Running,
    address: String,
}

impl Serve {
    fn ready(running: Running) -> Result<Self> {
        let began = Instant::now();
        loop {
            let output = running.output()?;
            let address = output.lines().find_map(|line| line.split_once("serving http://"));
            let address = address.and_then(|(_, address)| address.strip_suffix("/metrics"));
            if let Some(address) = address
                && get(address, "/readyz")?.starts_with("HTTP/1.1 200")
            {
                return Ok(Self { address: address.to_owned(), running });
            }
            if began.elapsed() > PATIENCE {
                bail!("memcg-trace serve does not become ready: {output}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn usage(&self) -> Result<Usage> {
        Usage::of(self.running.pid())
    }

    /// Of one CPU, while nothing is done to it.
    fn cpu_percent(&self) -> Result<f64> {
        let (before, began) = (self.usage()?.cpu_us, Instant::now());
        thread::sleep(REST);
        Ok(100.0 * (self.usage()?.cpu_us - before) / 1e6 / began.elapsed().as_secs_f64())
    }

    /// For each cycle of a round, µs.
    fn cpu_us(&self, churn: &Churn) -> Result<f64> {
        let before = self.usage()?.cpu_us;
        churn.run(CYCLES)?;
        Ok((self.usage()?.cpu_us - before) / CYCLES as f64)
    }

    fn await_leaked(&self, count: usize) -> Result<()> {
        let began = Instant::now();
        loop {
            let (_, page) = self.get("/metrics")?;
            let leaked = page.lines().find_map(|line| line.strip_prefix("memcg_trace_leaked_memcgs "));
            if leaked.and_then(|leaked| leaked.parse::<f64>().ok()) >= Some(count as f64) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("of {count} zombies memcg-trace serve tells {}", leaked.unwrap_or("nothing"));
            }
            thread::sleep(STALE);
        }
    }

    /// From connecting to the last byte of a page that is made for it.
    fn scrape_ms(&self) -> Result<f64> {
        thread::sleep(STALE);
        Ok(self.get("/metrics")?.0.as_secs_f64() * 1e3)
    }

    fn get(&self, path: &str) -> Result<(Duration, String)> {
        let began = Instant::now();
        let answer = get(&self.address, path)?;
        Ok((began.elapsed(), answer))
    }
}

fn get(address: &str, path: &str) -> Result<String> {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    ask().with_context(|| format!("cannot get http://{address}{path}"))
}
