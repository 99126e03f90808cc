//! Kernel memory by address.

pub mod kcore;
pub mod symbols;
