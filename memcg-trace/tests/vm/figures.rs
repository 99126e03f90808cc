//! What tracing costs, for `cargo xtask bench`: a line for each sample, `figure HOW MICROSECONDS`.

use std::{fs, time::Instant};

use crate::{
    slabs::{PARAMETERS, shell},
    support::{cgroup::Cgroup, process::command, tracer::Tracer},
    vm,
};

const ROUNDS: usize = 15;

/// Creating and destroying one slab cache.
#[test]
#[ignore = "measures; `cargo xtask bench` runs it"]
fn cost_of_slab_watch() {
    const PAIRS: u32 = 300;

    let _machine = vm();
    shell("modprobe leaky");
    let churn_us = || {
        let start = Instant::now();
        fs::write(format!("{PARAMETERS}/churn"), PAIRS.to_string()).expect("churn");
        start.elapsed().as_secs_f64() * 1e6 / f64::from(PAIRS)
    };
    let watch = || Tracer::spawn(command().args(["slab", "--watch", "60", "-o", "json"]));
    rounds(churn_us, &[("traced", &watch)]);
}

/// Creating and removing one cgroup, by each backend. No line is printed meanwhile.
#[test]
#[ignore = "measures; `cargo xtask bench` runs it"]
fn cost_of_mkdir() {
    const CYCLES: u32 = 500;

    let _machine = vm();
    let home = Cgroup::home("cost");
    let directory = home.directory().join("one");
    let churn_us = || {
        let start = Instant::now();
        for _ in 0..CYCLES {
            fs::create_dir(&directory).expect("mkdir");
            fs::remove_dir(&directory).expect("rmdir");
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CYCLES)
    };
    let trace = |backend| Tracer::start(&["--backend", backend, "--events", "leaked"]);
    rounds(churn_us, &[("kprobe", &|| trace("kprobe")), ("tracepoint", &|| trace("tracepoint"))]);
}

/// Each round has all of them, and each comes first as often as the others.
fn rounds(churn_us: impl Fn() -> f64, tracers: &[(&str, &dyn Fn() -> Tracer)]) {
    churn_us();
    let mut order: Vec<_> = tracers.iter().map(|(how, start)| (*how, Some(start))).collect();
    order.push(("untraced", None));
    for _ in 0..ROUNDS {
        for (how, start) in &order {
            let tracer = start.map(|start| start());
            println!("figure {how} {:.3}", churn_us());
            tracer.map(Tracer::stop);
        }
        order.rotate_left(1);
    }
}
