//! The node of all golden output, and what that is held against.

use std::{env, fs, path::PathBuf};

use memcg_trace::{
    record::Clock,
    report::{text::Color, view::Viewpoint},
};
use serde_json::Value;

use crate::events::MS;

/// A container and a pod.
pub const ID: &str = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
pub const UID: &str = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";

/// Ten minutes of suspend, and an evening in November 2023.
pub const VIEWPOINT: Viewpoint = Viewpoint {
    clock: Clock {
        boottime_offset_ns: 600_000 * MS as i64,
        realtime_offset_ns: 1_700_000_000_000 * MS as i64,
    },
    page_bytes: 4096,
    dying_unseen: Some(0),
};

/// Each line an object of schema 1, the last and only the last one a summary.
pub fn check_json(json: &[u8]) {
    let json = str::from_utf8(json).expect("JSON is UTF-8");
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["schema"] == 1));
    let summaries = lines.iter().filter(|line| line["type"] == "summary").count();
    assert_eq!((summaries, &lines.last().expect("a summary")["type"]), (1, &Value::from("summary")));
}

/// No byte of a name that could do harm.
pub fn check_text(text: &[u8], color: Color) {
    let text = str::from_utf8(text).expect("text is UTF-8");
    let harmless = |c: char| c == '\n' || c == '\x1b' && color == Color::On || !c.is_control();
    assert!(text.chars().all(harmless));
}

/// Terminals that people have.
pub const WIDTHS: [usize; 3] = [80, 120, 200];

/// No line is longer than the terminal is wide, but for a word that is.
pub fn check_width(text: &[u8], width: usize) {
    for line in str::from_utf8(text).expect("text is UTF-8").lines() {
        let fits = line.chars().count() <= width || line.split(' ').any(|word| word.chars().count() > width);
        assert!(fits, "longer than {width} columns: {line}");
    }
}

/// With the file of this name beside this one.
pub fn compare(file: &str, output: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, output).expect("the golden files can be written");
    }
    let golden = fs::read(&path).unwrap_or_default();
    let (output, golden) = (String::from_utf8_lossy(output), String::from_utf8_lossy(&golden));
    assert_eq!(output, golden, "{file} differs; UPDATE_GOLDEN=1 writes it anew");
}
