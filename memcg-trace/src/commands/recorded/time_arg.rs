//! Times as people say them.

use std::{str::FromStr, time::Duration};

use anyhow::{Context as _, Result};
use jiff::{Timestamp, civil, tz::Offset};

/// A time, absolute or as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeArg {
    At(Timestamp),
    /// UTC, as everything that is shown.
    TimeOfDay(civil::Time),
    Ago(Duration),
}

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let of_day = ["%H:%M", "%H:%M:%S"].iter().find_map(|form| civil::Time::strptime(form, text).ok());
        if let Some(time) = of_day {
            return Ok(Self::TimeOfDay(time));
        }
        let wrong = "not a time: 2026-01-14T03:00:00Z, 03:00 or 2h (ago)";
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| wrong.to_owned())
    }
}

impl TimeArg {
    /// The latest one that is not after `now`; one with a date is what it is.
    pub fn before(self, now: Timestamp) -> Result<Timestamp> {
        match self {
            Self::At(at) => Ok(at),
            Self::Ago(time) => now.checked_sub(time).context("that long ago there was no time"),
            Self::TimeOfDay(time) => {
                let today = Offset::UTC.to_datetime(now).date();
                let at = |date: civil::Date| Offset::UTC.to_timestamp(date.to_datetime(time));
                let moment = at(today)?;
                if moment <= now { Ok(moment) } else { Ok(at(today.yesterday()?)?) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_of_nine_in_the_morning() {
        let now: Timestamp = "2026-01-14T09:00:00Z".parse().expect("a time");
        for (text, time) in [
            ("2026-01-14T03:00:00Z", "2026-01-14T03:00:00Z"),
            ("2026-01-14T03:00:00+02:00", "2026-01-14T01:00:00Z"),
            ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
            ("03:00", "2026-01-14T03:00:00Z"),
            ("03:00:07", "2026-01-14T03:00:07Z"),
            ("09:00", "2026-01-14T09:00:00Z"),
            ("09:01", "2026-01-13T09:01:00Z"),
            ("23:59", "2026-01-13T23:59:00Z"),
            ("2h", "2026-01-14T07:00:00Z"),
            ("1h 30m", "2026-01-14T07:30:00Z"),
            ("1day", "2026-01-13T09:00:00Z"),
        ] {
            let moment: TimeArg = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(moment.before(now).expect("a time").to_string(), time, "{text}");
        }
        for text in ["", "3", "24:00", "03:60", "yesterday", "2026-01-14", "-2h"] {
            assert!(text.parse::<TimeArg>().is_err(), "{text}");
        }
        assert!("100000y".parse::<TimeArg>().expect("a duration").before(now).is_err());
    }
}
