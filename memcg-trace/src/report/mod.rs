//! Views and outputs.
//!
//! A [`view`] contains everything that outputs show, in base units and wall-clock time; [`text`], [`json`] and [`html`] are
//! pure functions from a view to bytes. Unknown values are `None` throughout.

pub mod escape;
pub mod html;
pub mod json;
pub mod junit;
pub mod metrics;
pub mod tap;
pub mod text;
pub mod view;

pub use escape::Name;
