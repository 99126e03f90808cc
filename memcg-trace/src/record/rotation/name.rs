//! Names of files, which sort by time.

use jiff::Timestamp;

const PREFIX: &str = "memcg-trace-";
const SUFFIX: &str = "Z.recording";
/// Year to milliseconds, UTC.
const FORMAT: &str = "%Y%m%dT%H%M%S%.3f";
const PLACES: &[u8] = b"00000000T000000.000";

/// `memcg-trace-20260114T030000.000Z.recording`: of a recording that began then.
pub fn segment_name(began: Timestamp) -> String {
    format!("{PREFIX}{}{SUFFIX}", began.strftime(FORMAT))
}

/// Whether a file has the name of a recording of a rotation. No other file is ever removed.
pub fn is_segment_name(name: &[u8]) -> bool {
    let time = name.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    let fits = |(byte, place): (&u8, &u8)| byte == place || *place == b'0' && byte.is_ascii_digit();
    time.is_some_and(|time| time.len() == PLACES.len() && time.iter().zip(PLACES).all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_time_and_sort_by_it() {
        let at = |text: &str| segment_name(text.parse().expect("a time"));
        assert_eq!(at("2026-01-14T03:00:00Z"), "memcg-trace-20260114T030000.000Z.recording");
        let times = [
            "1999-12-31T23:59:59.999Z",
            "2026-01-14T03:00:00.01Z",
            "2026-01-14T03:00:00.1Z",
            "2026-10-01T00:00:00Z",
        ];
        let names = times.map(at);
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.iter().all(|name| is_segment_name(name.as_bytes())), "{names:?}");
    }

    #[test]
    fn other_files_are_not_ours() {
        for name in [
            "",
            "memcg-trace-.recording",
            "memcg-trace-20260114-030000.recording",
            "memcg-trace-20260114T030000.000Z.recording.bak",
            "memcg-trace-20260114T030000.0000Z.recording",
            "memcg-trace-2026011aT030000.000Z.recording",
            "../memcg-trace-20260114T030000.000Z.recording",
        ] {
            assert!(!is_segment_name(name.as_bytes()), "{name}");
        }
    }
}
