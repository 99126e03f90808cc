//! Recordings that follow each other in a directory, bounded in size: how they are named, how large they get, which are
//! removed, and which are read to show a time. Pure; files are the business of whoever asks.

mod name;
mod select;
mod size;

pub use name::{is_segment_name, segment_name};
pub use select::{Before, SegmentChoice, choose};
pub use size::RotationSize;
