//! Tests that need neither root nor another kernel: one program, as each takes its time to link.

#[path = "../support/count.rs"]
mod count;
#[path = "../events/mod.rs"]
mod events;
#[path = "../support/file.rs"]
mod file;
#[path = "../support/zombies.rs"]
mod zombies;

mod architecture;
mod compare;
mod doctor;
mod explain;
mod fuzz;
mod golden;
mod looks;
mod object;
mod observer;
mod plans;
mod properties;
mod recording;
mod replay;
mod report;
mod rotation;
mod scan;
mod screen;
mod serve;
mod slab;
mod tracker;
mod verify;
mod whois;
