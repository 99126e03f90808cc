//! `memcg-trace serve`: follows memcgs for as long as the node runs, and shows metrics over HTTP.

mod board;
mod exporter;
mod http;
mod notify;
mod on_demand;
mod recorded;
mod request_rate;
mod routes;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use memcg_trace_common::ABSENT;
use nix::sys::{
    signal::{SigHandler, Signal, signal},
    sysinfo::sysinfo,
};

use self::{board::Board, exporter::Exporter, notify::Notifier};
use super::{
    announce,
    args::{self, BtfArg, NamesArgs},
    flight::FlightArgs,
    recorded::WindowArgs,
    trace::{BackendChoice, power_of_two},
};
use crate::{
    exit::Exit,
    kernel::{cgroupfs::hierarchy::Controller, clock, page_bytes},
    report::{metrics::MetricsFacts, view::Accounting},
    session::{RunTally, Session, Setup, Stop},
    source::Wanted,
    streams::say,
};

/// Follow memcgs as a service, with metrics for Prometheus
///
/// Traces like `trace` until it is stopped, prints nothing, and answers over HTTP: /metrics, /leaks.json, /livez, /readyz,
/// and / with what is what. A scrape renders what is known; it does not look into the kernel, and no client can delay the
/// drain of the events.
///
/// It serves whoever can reach the address: the default is this machine alone. /leaks.json has the names of pods.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_USE)]
pub struct Args {
    /// Address and port to listen at
    #[arg(long, value_name = "ADDRESS:PORT", env = "MEMCG_TRACE_LISTEN", default_value = "127.0.0.1:9467")]
    pub listen: SocketAddr,

    /// Time after which a removed memcg that is not freed counts as leaked
    #[arg(
        long,
        value_name = "TIME",
        env = "MEMCG_TRACE_GRACE",
        default_value = "30s",
        value_parser = args::duration
    )]
    pub grace: Duration,

    /// Number of workloads with series of their own, those with most leaked memcgs in the last hour; all others are
    /// summed up as "_other"
    #[arg(long, value_name = "N", env = "MEMCG_TRACE_TOP", default_value_t = 20)]
    pub top: usize,

    /// How often to walk the kernel's memcgs and to look at what pins the dying ones
    #[arg(
        long,
        value_name = "TIME",
        env = "MEMCG_TRACE_REFRESH",
        default_value = "5m",
        value_parser = args::duration
    )]
    pub refresh: Duration,

    /// Source of events; auto uses the best that this kernel supports
    #[arg(long, value_enum, env = "MEMCG_TRACE_BACKEND", default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,

    /// Pages per CPU's perf buffer, a power of two up to 65536 [default: what makes up to 2 MiB, 64 MiB
    /// for all CPUs, a quarter of the memory limit]
    #[arg(long, value_name = "N", env = "MEMCG_TRACE_PERF_PAGES", value_parser = power_of_two)]
    pub perf_pages: Option<usize>,

    /// Also follow slab caches, for the metrics slab_caches and slab_caches_leaked
    #[arg(long)]
    pub slab: bool,

    #[command(flatten)]
    pub flight: FlightArgs,

    /// Serve a recording of `trace --record` or --record-dir as it ends, instead of this node; needs no privileges
    #[arg(
        long,
        value_name = "FILE|DIR",
        conflicts_with_all = ["grace", "backend", "perf_pages", "slab", "refresh", "record_dir"]
    )]
    pub replay: Option<PathBuf>,

    #[command(flatten)]
    pub window: WindowArgs,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub names: NamesArgs,
}

const HOW_TO_USE: &str = "\
Zombies from before the start count as leaked at once in the gauges, so that a restart neither resolves an alert nor fires
one; counters start at 0. What each metric means, alerts and dashboards: docs/FLEET.md and deploy/.

SIGTERM and SIGINT end it, SIGHUP does not. It tells systemd when it is ready (Type=notify), and its watchdog that events are
being drained.

Examples:
  memcg-trace serve
  curl -s http://127.0.0.1:9467/metrics | grep -v '^#'
  curl -s http://127.0.0.1:9467/leaks.json | jq -r '.memcgs[] | [.container.pod, .memcg.path] | @tsv'
  memcg-trace serve --listen 0.0.0.0:9467 --host-root /host       in a DaemonSet
  memcg-trace serve --record-dir /var/lib/memcg-trace             and what happened at 3 a.m., later:
  memcg-trace report /var/lib/memcg-trace --since 03:00 --until 03:30 -o night.html
  memcg-trace serve --replay FILE --listen 127.0.0.2:9467         a node of the past";

impl Args {
    /// Serves until a signal.
    pub fn run(self) -> Result<Exit> {
        let notifier = Notifier::from_environment()?;
        let listener = TcpListener::bind(self.listen);
        let listener = listener.with_context(|| format!("cannot listen at {}", self.listen))?;
        let address = listener.local_addr().unwrap_or(self.listen);
        ignore_hangup();
        let board = Arc::new(Board::new());
        // Before it traces: probes are answered while this node's kernel is being read.
        http::serve(listener, board.clone()).context("cannot start a thread for HTTP")?;
        say(&format!("serving http://{address}/metrics"));
        // A single thread, as capabilities are dropped per thread. Those for HTTP and for names drop their own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the tokio runtime")?;
        match &self.replay {
            Some(path) => runtime.block_on(recorded::serve(path, &self.window, board, notifier, self.top)),
            None => runtime.block_on(self.serve(board, notifier)),
        }
    }

    async fn serve(&self, board: Arc<Board>, notifier: Notifier) -> Result<Exit> {
        let controller = Controller::find()?;
        let accounting = Accounting {
            version: controller.version,
            swap: controller.accounts_swap(),
            page_bytes: page_bytes() as u64,
        };
        let mut session = Session::start(Setup {
            wanted: Wanted {
                backend: self.backend.only(),
                perf_pages: self.perf_pages,
                walk: true,
                grace_ns: u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX),
                clock: clock::offsets(),
            },
            btf: self.btf.file(),
            slab: self.slab,
            by: None,
            record: None,
            flight: self.flight.flight(),
            names: self.names.resolver()?,
            refresh: Some(self.refresh),
        })?;
        let mut stop = Stop::listen()?;
        announce::tracing(session.book().start());
        announce::details(session.book().start(), session.snapshot());
        let kinds_known = session.book().start().layout.kinds.iter().any(|kind| *kind != ABSENT);
        let facts = MetricsFacts {
            top: self.top,
            accounting: kinds_known.then_some(accounting),
            node_memory_bytes: sysinfo().ok().map(|info| info.ram_total()),
            ..MetricsFacts::default()
        };
        let mut exporter = Exporter::new(board, notifier, facts, RunTally::default());
        if session.snapshot().is_none() {
            exporter.complete();
        }
        session.follow(&mut stop, None, &mut exporter).await?;
        exporter.stopping();
        Ok(if session.end_recording() { Exit::Done } else { Exit::Failed })
    }
}

/// A service has no terminal that could hang up.
fn ignore_hangup() {
    // SAFETY: no handler is installed.
    let ignored = unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) };
    if let Err(error) = ignored {
        log::debug!("cannot ignore SIGHUP: {error}");
    }
}
