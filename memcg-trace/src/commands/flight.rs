//! `--record-dir` and `--record-max`: recordings of a service.

use std::path::PathBuf;

use crate::{record::rotation::RotationSize, session::Flight};

/// Of what is known of 10,000 memcgs, a rotation needs several.
const LEAST_BYTES: u64 = 4 << 20;

/// `--record-dir` and `--record-max`
#[derive(Clone, Debug, clap::Args)]
pub struct FlightArgs {
    /// Record to files in this directory, each of which can be replayed alone, and the oldest of which are removed; "replay",
    /// "report" and "top --replay" take the directory, and a time with --since and --until
    #[arg(long, value_name = "DIR")]
    record_dir: Option<PathBuf>,

    /// Bytes of all these files
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = rotation_size)]
    record_max: RotationSize,
}

impl FlightArgs {
    /// `None`: not asked for.
    pub fn flight(&self) -> Option<Flight<'_>> {
        let size = self.record_max;
        self.record_dir.as_deref().map(|directory| Flight { directory, size })
    }
}

/// `64M`, `1G`: powers of 1,024.
fn rotation_size(text: &str) -> Result<RotationSize, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let factor: u64 = match unit {
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("not a number with K, M or G".to_owned()),
    };
    let number: Option<u64> = text.strip_suffix(unit).and_then(|number| number.parse().ok());
    let max_bytes = number.and_then(|number| number.checked_mul(factor)).ok_or("not a size")?;
    match max_bytes {
        LEAST_BYTES.. => Ok(RotationSize { max_bytes }),
        _ => Err("less than 4M, which has no room for what is known and what happens".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("4M", Some(4 << 20)),
            ("4096K", Some(4 << 20)),
            ("256M", Some(256 << 20)),
            ("2G", Some(2 << 30)),
            ("4095K", None),
            ("0G", None),
            ("256", None),
            ("M", None),
            ("-4M", None),
            ("1.5G", None),
            ("4MB", None),
            ("99999999999G", None),
        ] {
            assert_eq!(rotation_size(text).ok().map(|size| size.max_bytes), bytes, "{text}");
        }
    }
}
