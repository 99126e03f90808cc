//! Formats numbers for people. (JSON uses base units.)

use std::fmt;

/// A duration: `0.3ms`, `80ms`, `1.5s`, `3m20s`, `2h5m`, `3d4h`.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub ns: u64,
}

/// An amount of memory: `512 B`, `25.2 MiB`.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub bytes: u64,
}

/// A count with thousands separators: `65,535`.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

/// A time of the day, UTC, from ns since the epoch: `16:12:03.123`.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay {
    pub ns: i128,
}

/// Placeholder for unknown values.
pub const UNKNOWN: &str = "?";

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.ns / 1_000_000;
        let seconds = ms / 1_000;
        let text = match seconds {
            0 if ms < 10 => tenths(self.ns / 100_000) + "ms",
            0 => format!("{ms}ms"),
            1..60 => tenths(ms / 100) + "s",
            60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
            3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds / 60 % 60),
            _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
        };
        f.pad(&text)
    }
}

/// `1.5`, but `30`
fn tenths(tenths: u64) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        tenth => format!("{}.{tenth}", tenths / 10),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.bytes < 1024 {
            return f.pad(&format!("{} B", self.bytes));
        }
        // Tenths, rounded down.
        let mut tenths = u128::from(self.bytes) * 10 / 1024;
        let mut unit = 0;
        while tenths >= 10_240 && unit + 1 < UNITS.len() {
            tenths /= 1024;
            unit += 1;
        }
        f.pad(&format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Numbers of 128 bits take several times as long to print.
        let ms = self.ns.div_euclid(1_000_000).rem_euclid(86_400_000) as u32;
        let s = ms / 1_000;
        write!(f, "{:02}:{:02}:{:02}.{:03}", s / 3_600, s / 60 % 60, s % 60, ms % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let table = [
            (0, "0ms"),
            (340_000, "0.3ms"),
            (80_000_000, "80ms"),
            (30_000_000_000, "30s"),
            (1_550_000_000, "1.5s"),
            (200_000_000_000, "3m20s"),
            (7_500_000_000_000, "2h5m"),
            (273_600_000_000_000, "3d4h"),
        ];
        for (ns, text) in table {
            assert_eq!(Time { ns }.to_string(), text);
        }
        assert_eq!(format!("{:>8}|", Time { ns: 80_000_000 }), "    80ms|");
    }

    #[test]
    fn sizes_and_counts() {
        let sizes =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (26_424_115, "25.1 MiB"), (1 << 40, "1.0 TiB")];
        for (bytes, text) in sizes {
            assert_eq!(Size { bytes }.to_string(), text);
        }
        assert_eq!(Size { bytes: u64::MAX }.to_string(), "16383.9 PiB");
        for (count, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (65_535, "65,535"), (1_234_567, "1,234,567")]
        {
            assert_eq!(Count(count).to_string(), text);
        }
    }

    #[test]
    fn time_of_day() {
        assert_eq!(TimeOfDay { ns: 0 }.to_string(), "00:00:00.000");
        assert_eq!(TimeOfDay { ns: 1_700_000_000_123_456_789 }.to_string(), "22:13:20.123");
        assert_eq!(TimeOfDay { ns: -1 }.to_string(), "23:59:59.999");
    }
}
