//! A plot of blocks.

/// Eighths of a cell.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Lines of blocks, the top one first, for the last `width` values; the largest of them is as high as all lines. What is not
/// zero is seen.
pub fn sparkline(values: &[u64], width: usize, height: usize) -> Vec<String> {
    let values = &values[values.len().saturating_sub(width)..];
    let most = u128::from(values.iter().copied().max().unwrap_or(0).max(1));
    let full = height * 8;
    let eighths = values.iter().map(|value| (u128::from(*value) * full as u128).div_ceil(most) as usize);
    let eighths: Vec<usize> = eighths.collect();
    let line =
        |below: usize| eighths.iter().map(|all| EIGHTHS[all.saturating_sub(below * 8).min(8)]).collect();
    (0..height).rev().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_is_full() {
        let table: [(&[u64], usize, usize, &[&str]); 6] = [
            (&[], 4, 1, &[""]),
            (&[0, 0], 4, 1, &["  "]),
            (&[0, 1, 2, 4, 8], 5, 1, &[" ▁▂▄█"]),
            (&[0, 1, 2, 4, 8], 2, 1, &["▄█"]),
            (&[1, u64::MAX], 2, 1, &["▁█"]),
            (&[4, 8, 16], 3, 2, &["  █", "▄██"]),
        ];
        for (values, width, height, expected) in table {
            assert_eq!(sparkline(values, width, height), expected, "{values:?}");
        }
    }
}
