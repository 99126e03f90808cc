//! How large recordings get, and which are removed.

/// Parts that a rotation is divided into: as little is removed at a time, and is read to know what was known at some time.
const PARTS: u64 = 64;

/// The size of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationSize {
    /// Bytes of all files, at any time.
    pub max_bytes: u64,
}

impl RotationSize {
    /// Whether the next recording is to begin, after `bytes` of one that began with `head_bytes` of what was known. At
    /// least half of each is about what happened.
    pub fn is_full(&self, bytes: u64, head_bytes: u64) -> bool {
        bytes >= (self.max_bytes / PARTS).max(head_bytes.saturating_mul(2))
    }

    /// How many of the oldest files are to be removed so that `more_bytes` fit besides the others; `None`: not even all
    /// are enough. `files`: bytes of each, oldest first.
    pub fn excess(&self, files: impl IntoIterator<Item = u64>, more_bytes: u64) -> Option<usize> {
        let files: Vec<u64> = files.into_iter().collect();
        let mut all: u64 = files.iter().sum::<u64>().saturating_add(more_bytes);
        let mut removed = 0;
        for bytes in files {
            if all <= self.max_bytes {
                break;
            }
            all -= bytes;
            removed += 1;
        }
        (all <= self.max_bytes).then_some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: RotationSize = RotationSize { max_bytes: 6400 };

    #[test]
    fn a_recording_is_a_part_of_it_or_twice_what_it_began_with() {
        for (bytes, head_bytes, full) in [
            (0, 0, false),
            (99, 10, false),
            (100, 10, true),
            (100, 50, true),
            (119, 60, false),
            (120, 60, true),
        ] {
            assert_eq!(
                SIZE.is_full(bytes, head_bytes),
                full,
                "{bytes} bytes, {head_bytes} of them the beginning"
            );
        }
    }

    #[test]
    fn as_many_of_the_oldest_are_removed_as_it_takes() {
        for (files, more_bytes, removed) in [
            (&[][..], 6400, Some(0)),
            (&[], 6401, None),
            (&[100, 6200], 100, Some(0)),
            (&[100, 6200], 101, Some(1)),
            (&[100, 6200, 50], 6350, Some(2)),
            (&[3_000, 3_000, 3_000], 6_400, Some(3)),
            (&[3_000, 3_000, 3_000], 6_401, None),
            (&[u64::MAX / 2, 7], 6_390, Some(1)),
        ] {
            assert_eq!(SIZE.excess(files.iter().copied(), more_bytes), removed, "{files:?} and {more_bytes}");
        }
    }
}
