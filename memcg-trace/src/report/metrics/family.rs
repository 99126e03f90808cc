//! A metric family: what all samples of one name have in common, and the samples.

use std::borrow::Cow;

/// Names and values of labels. A value may be any text; the format escapes it.
pub type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Its name ends with `_total`.
    Counter,
    Gauge,
    Histogram,
}

/// All samples of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'a> {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    pub samples: Vec<Sample<'a>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// What follows the family's name: `_bucket`, `_sum` and `_count` of a histogram.
    pub suffix: &'static str,
    pub labels: Labels<'a>,
    pub value: f64,
    pub exemplar: Option<Exemplar<'a>>,
}

/// One event behind a counter. Only OpenMetrics has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar<'a> {
    pub labels: Labels<'a>,
    /// Seconds since the epoch.
    pub time_s: f64,
}

impl<'a> Family<'a> {
    pub fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Adds a sample.
    pub fn with(mut self, labels: Labels<'a>, value: f64) -> Self {
        self.samples.push(Sample { suffix: "", labels, value, exemplar: None });
        self
    }

    /// Adds a sample without labels, if its value is known.
    pub fn maybe(self, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.with(Vec::new(), value),
            None => self,
        }
    }

    /// Adds a sample for each value of one label.
    pub fn by<V: Into<Cow<'a, str>>>(
        self,
        label: &'static str,
        values: impl IntoIterator<Item = (V, u64)>,
    ) -> Self {
        let add =
            |family: Self, (name, value): (V, u64)| family.with(vec![(label, name.into())], value as f64);
        values.into_iter().fold(self, add)
    }
}
