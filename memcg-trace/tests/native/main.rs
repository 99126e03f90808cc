//! memcg-trace on this machine. Needs root; cgroups of others may come and go meanwhile.

#[path = "../everywhere/mod.rs"]
mod everywhere;
#[path = "../support/mod.rs"]
mod support;

mod charges;
mod churn;
mod container;
mod daemonset;
mod doctor;
mod explain;
mod fleet;
mod flight;
mod interruptions;
mod late;
mod pod;
mod privileges;
mod readers;
mod refusals;
mod runtimes;
mod scan;
mod serve;
mod slab;
mod tenants;
mod top;
mod verify;
mod whois;
mod wrong_btf;
