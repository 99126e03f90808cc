//! The two text formats of Prometheus: the classic one ("text format 0.0.4") and OpenMetrics 1.0.
//!
//! They differ in the name that a counter has in `# HELP` and `# TYPE`, in the numbers of `le`, in exemplars, and in the
//! end of the page.

use std::io::{self, Write};

use super::{Exemplar, Family, Labels, MetricKind, Sample};

/// Most characters of an exemplar's labels, names and values together (OpenMetrics 1.0, "Exemplars").
const EXEMPLAR_CHARS_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// What everything reads; without exemplars.
    Classic,
    OpenMetrics,
}

impl MetricsFormat {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes a page. Families without samples are left out.
pub fn encode(out: &mut impl Write, families: &[Family<'_>], format: MetricsFormat) -> io::Result<()> {
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let described = match (format, family.kind) {
            (MetricsFormat::OpenMetrics, MetricKind::Counter) => family.name.trim_end_matches("_total"),
            _ => family.name,
        };
        writeln!(out, "# HELP {described} {}", family.help)?;
        writeln!(out, "# TYPE {described} {}", kind(family.kind))?;
        for sample in &family.samples {
            write_sample(out, family, sample, format)?;
        }
    }
    if format == MetricsFormat::OpenMetrics {
        writeln!(out, "# EOF")?;
    }
    Ok(())
}

fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}

fn write_sample(
    out: &mut impl Write,
    family: &Family<'_>,
    sample: &Sample<'_>,
    format: MetricsFormat,
) -> io::Result<()> {
    write!(out, "{}{}", family.name, sample.suffix)?;
    if !sample.labels.is_empty() {
        write_labels(out, &sample.labels, format)?;
    }
    write!(out, " {}", sample.value)?;
    if let (MetricsFormat::OpenMetrics, Some(exemplar)) = (format, &sample.exemplar) {
        write_exemplar(out, exemplar)?;
    }
    writeln!(out)
}

fn write_labels(out: &mut impl Write, labels: &Labels<'_>, format: MetricsFormat) -> io::Result<()> {
    for (place, (name, value)) in labels.iter().enumerate() {
        let before = if place == 0 { '{' } else { ',' };
        // OpenMetrics: the canonical form of a float has a point.
        let point =
            if *name == "le" && format == MetricsFormat::OpenMetrics && value != "+Inf" { ".0" } else { "" };
        write!(out, "{before}{name}=\"{}{point}\"", escaped(value))?;
    }
    // Only exemplars may be without labels here.
    write!(out, "{}", if labels.is_empty() { "{}" } else { "}" })
}

/// What does not fit is left out: a value that was cut would name something else.
fn write_exemplar(out: &mut impl Write, exemplar: &Exemplar<'_>) -> io::Result<()> {
    let mut left = EXEMPLAR_CHARS_MAX;
    let mut labels = exemplar.labels.clone();
    labels.retain(|(name, value)| {
        let chars = name.chars().count() + value.chars().count();
        let fits = chars <= left;
        left -= if fits { chars } else { 0 };
        fits
    });
    write!(out, " # ")?;
    write_labels(out, &labels, MetricsFormat::OpenMetrics)?;
    write!(out, " 1 {:.3}", exemplar.time_s)
}

/// The value of a label: both formats escape the same three characters.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
