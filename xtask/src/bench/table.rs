//! The table of results: one line per figure, with its goal.

use std::fmt;

#[derive(Clone, Copy)]
pub enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Ratio,
    Bytes,
    Mebibytes,
    MillionsPerSecond,
    Percent,
    Number,
}

enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure: the median of its samples.
pub struct Row {
    what: String,
    unit: Unit,
    samples: Vec<f64>,
    goal: Option<Goal>,
}

impl Row {
    pub fn new(what: String, unit: Unit, samples: Vec<f64>) -> Self {
        Self { what, unit, samples, goal: None }
    }

    pub fn at_most(self, goal: Option<f64>) -> Self {
        Self { goal: goal.map(Goal::AtMost), ..self }
    }

    pub fn at_least(self, goal: Option<f64>) -> Self {
        Self { goal: goal.map(Goal::AtLeast), ..self }
    }

    /// Figure, quartiles, goal.
    fn cells(&self) -> [String; 4] {
        if self.samples.is_empty() {
            return [self.what.clone(), "none    ".to_owned(), String::new(), String::new()];
        }
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&self.samples, part));
        let spread = if self.samples.len() > 1 {
            format!("{}..{}", self.unit.number(low), self.unit.number(high))
        } else {
            String::new()
        };
        let verdict = |met| if met { "met" } else { "MISSED" };
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtMost(goal)) => format!("≤ {}: {}", self.unit.number(goal), verdict(middle <= goal)),
            Some(Goal::AtLeast(goal)) => format!("≥ {}: {}", self.unit.number(goal), verdict(middle >= goal)),
        };
        [self.what.clone(), format!("{} {}", self.unit.number(middle), self.unit.symbol()), spread, goal]
    }
}

impl Unit {
    fn symbol(&self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns ",
            Self::Microseconds => "µs ",
            Self::Milliseconds => "ms ",
            Self::Ratio => "×  ",
            Self::Bytes => "B  ",
            Self::Mebibytes => "MiB",
            Self::MillionsPerSecond => "M/s",
            Self::Percent => "%  ",
            Self::Number => "   ",
        }
    }

    fn number(&self, value: f64) -> String {
        let digits = match self {
            Self::Nanoseconds | Self::Bytes | Self::Number => 0,
            Self::Milliseconds | Self::Mebibytes => 1,
            Self::Microseconds | Self::Ratio | Self::MillionsPerSecond | Self::Percent => 2,
        };
        format!("{value:.digits$}")
    }
}

/// All figures of a run.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub fn of(rows: Vec<Row>) -> Self {
        Self { rows }
    }

    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "median   ", "quartiles", "goal"].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width =
            |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let [first, second, third] = [0, 1, 2].map(width);
        for [what, figure, spread, goal] in &lines {
            let line = format!("{what:<first$}  {figure:>second$}  {spread:^third$}  {goal}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// Interpolates linearly between samples; 0 without samples.
fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or_default();
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_samples() {
        let table: &[(&[f64], f64, f64)] = &[
            (&[3.0, 1.0, 2.0], 0.5, 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 0.5, 2.5),
            (&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25, 2.0),
            (&[7.0], 0.75, 7.0),
        ];
        for (samples, part, expected) in table {
            assert_eq!(quantile(samples, *part), *expected, "{samples:?}");
        }
    }

    #[test]
    fn a_goal_stands_beside_its_figure() {
        let table = Table::of(vec![
            Row::new("a".to_owned(), Unit::Ratio, vec![1.0, 1.2, 1.4]).at_most(Some(1.1)),
            Row::new("longer".to_owned(), Unit::Mebibytes, vec![30.0]),
            Row::new("gap".to_owned(), Unit::Ratio, Vec::new()).at_most(Some(1.0)),
        ]);
        let lines = [
            "        median     quartiles   goal",
            "a        1.20 ×    1.10..1.30  ≤ 1.10: MISSED",
            "longer   30.0 MiB",
            "gap      none",
            "",
        ];
        assert_eq!(table.to_string(), lines.join("\n"));
    }
}
