//! What a process takes while it runs, as rows of a table.

use std::{fmt, fs, time::Duration};

use super::load::Load;
use crate::support::{exporter::Exporter, oracle};

/// Growth that is noise, KiB.
const NOISE_KIB: u64 = 2048;
/// Descriptors that come and go: clients, and files that are being read.
const NOISE_FDS: u64 = 24;

/// What a process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub resident_kib: u64,
    pub fds: u64,
    pub threads: u64,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().next().and_then(|word| word.parse().ok()).expect(name)
        };
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count() as u64;
        Self { resident_kib: number("VmRSS:"), fds, threads: number("Threads:") }
    }
}

/// One row.
pub struct Sample {
    at: Duration,
    made: u64,
    explained: u64,
    switched: u64,
    dying: u64,
    serve_dying: Option<f64>,
    lost: Option<f64>,
    serve: Usage,
    trace: Usage,
}

pub fn print_header() {
    println!(
        "| minute | cgroups made | explained | CPU switched | dying | serve: dying | lost | RSS, KiB | fds | threads | trace: RSS, KiB | fds | threads |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
}

impl Sample {
    pub fn take(at: Duration, load: &Load, exporter: &Exporter, tracer: u32) -> Self {
        Self {
            at,
            made: load.made,
            explained: load.explained,
            switched: load.switched,
            dying: oracle::dying(),
            serve_dying: exporter.value("memcg_trace_memcgs{state=\"dying\"}"),
            lost: exporter.value("memcg_trace_events_lost_total"),
            serve: Usage::of(exporter.pid()),
            trace: Usage::of(tracer),
        }
    }

    /// The last third takes no more than the one before it.
    pub fn assert_flat(samples: &[Self]) {
        let third = samples.len() / 3;
        assert!(third > 0, "too short: {} samples", samples.len());
        let (middle, last) = samples[third..].split_at(third);
        for usage in [|sample: &Self| sample.serve, |sample: &Self| sample.trace] {
            let most =
                |samples: &[Self], of: fn(Usage) -> u64| samples.iter().map(|sample| of(usage(sample))).max();
            let (before, after) =
                (most(middle, |usage| usage.resident_kib), most(last, |usage| usage.resident_kib));
            assert!(
                after <= before.map(|before| before + before / 20 + NOISE_KIB),
                "RSS grows: {before:?}, {after:?} KiB"
            );
            let (before, after) = (most(middle, |usage| usage.fds), most(last, |usage| usage.fds));
            assert!(
                after <= before.map(|before| before + NOISE_FDS),
                "descriptors grow: {before:?}, {after:?}"
            );
            let (before, after) = (most(middle, |usage| usage.threads), most(last, |usage| usage.threads));
            assert!(after <= before, "threads grow: {before:?}, {after:?}");
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.at.as_secs_f64() / 60.0;
        let Self { made, explained, switched, dying, serve, trace, .. } = self;
        let (known, lost) = (self.serve_dying.unwrap_or(f64::NAN), self.lost.unwrap_or(0.0));
        write!(f, "| {minutes:.1} | {made} | {explained} | {switched} | {dying} | {known} | {lost}")?;
        for Usage { resident_kib, fds, threads } in [serve, trace] {
            write!(f, " | {resident_kib} | {fds} | {threads}")?;
        }
        write!(f, " |")
    }
}
