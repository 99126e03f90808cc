//! One view, many outputs.
//!
//! [`view`] says everything that an output shows, in base units and at wall-clock time; [`text`] and [`json`] are pure
//! functions from a view to bytes. What is not known is `None` up to the last byte.

pub mod escape;
pub mod json;
pub mod junit;
pub mod tap;
pub mod text;
pub mod view;

pub use escape::Name;
