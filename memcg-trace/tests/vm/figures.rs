//! What tracing costs, for `cargo xtask bench`: a line for each sample, `figure HOW MICROSECONDS`.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    slabs::{PARAMETERS, shell},
    support::{
        cgroup::Cgroup,
        eventually,
        explain::Explain,
        oracle::expect_dying,
        pins::{TmpfsFile, namespace, unreaped_task},
        process::command,
        tracer::Tracer,
    },
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
    let watch = || Tracer::spawn(command().args(["slab", "--watch", "60", "-o", "json"])).into();
    rounds(churn_us, &[("traced", &watch)]);
}

/// Creating and removing one cgroup, by each backend, which prints no line meanwhile; and under bpftrace, which prints one for
/// each firing of the same kprobes, where the VM has it.
#[test]
#[ignore = "measures; `cargo xtask bench` runs it"]
fn cost_of_mkdir() {
    const CYCLES: u32 = 500;

    let _machine = vm();
    let home = Cgroup::home("cost");
    let directory = home.directory().join("one");
    let cycle = || {
        fs::create_dir(&directory).expect("mkdir");
        fs::remove_dir(&directory).expect("rmdir");
    };
    let churn_us = || {
        let start = Instant::now();
        (0..CYCLES).for_each(|_| cycle());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CYCLES)
    };
    let trace = |backend| Tracer::start(&["--backend", backend, "--events", "leaked"]);
    let by_kprobe = || Side::from(trace("kprobe"));
    let by_tracepoint = || Side::from(trace("tracepoint"));
    let by_bpftrace = || Side::from(Bpftrace::start(cycle));
    let mut tracers: Vec<(&str, &Start<'_>)> = vec![("kprobe", &by_kprobe), ("tracepoint", &by_tracepoint)];
    if Path::new(Bpftrace::PROGRAM).exists() {
        tracers.push(("bpftrace", &by_bpftrace));
    }
    rounds(churn_us, &tracers);
}

/// What traces while it lives.
enum Side {
    MemcgTrace(Tracer),
    Bpftrace(Bpftrace),
}

type Start<'a> = dyn Fn() -> Side + 'a;

impl From<Tracer> for Side {
    fn from(tracer: Tracer) -> Self {
        Self::MemcgTrace(tracer)
    }
}

impl From<Bpftrace> for Side {
    fn from(bpftrace: Bpftrace) -> Self {
        Self::Bpftrace(bpftrace)
    }
}

impl Side {
    fn stop(self) {
        match self {
            Self::MemcgTrace(tracer) => drop(tracer.stop()),
            Self::Bpftrace(bpftrace) => drop(bpftrace),
        }
    }
}

/// Ends with this.
struct Bpftrace(Child);

impl Bpftrace {
    /// Where `cargo xtask bench` puts it.
    const PROGRAM: &str = "/usr/local/bin/bpftrace";
    const OUTPUT: &str = "/tmp/bpftrace";
    const SCRIPT: &str = r#"
        kprobe:mem_cgroup_css_alloc, kprobe:mem_cgroup_css_online, kprobe:mem_cgroup_css_offline,
        kprobe:mem_cgroup_css_released, kprobe:mem_cgroup_css_free {
            printf("%s %llu %d %s %lx\n", probe, nsecs, pid, comm, arg0);
        }
        kretprobe:mem_cgroup_css_alloc, kretprobe:mem_cgroup_css_offline {
            printf("%s %llu %d %s %lx\n", probe, nsecs, pid, comm, retval);
        }"#;

    /// Starts it, and waits until it has told of the end of a cgroup: it does not say when it has attached.
    fn start(cycle: impl Fn()) -> Self {
        let output = File::create(Self::OUTPUT).expect("a file in /tmp");
        let mut command = Command::new(Self::PROGRAM);
        command.args(["-B", "line", "-e", Self::SCRIPT]).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a descriptor")).stderr(output);
        let bpftrace = Self(command.spawn().expect("run bpftrace"));
        eventually("bpftrace to attach", || {
            cycle();
            let said = fs::read_to_string(Self::OUTPUT).expect("its output");
            if said.contains("kprobe:mem_cgroup_css_free") { Ok(()) } else { Err(said) }
        });
        bpftrace
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // As Ctrl-C does: it takes its kprobes with it.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT);
        let _ = self.0.wait();
    }
}

/// What pins zombies; looked for by drgn as well, where it was brought along.
#[test]
#[ignore = "measures; `cargo xtask bench` runs it"]
fn cost_of_explain() {
    const ZOMBIES: u64 = 256;

    let _machine = vm();
    let home = Cgroup::home("cost-explain");
    let zombie = |number| {
        let cgroup = home.child(format!("zombie-{number}"));
        let file = TmpfsFile::written_in(&cgroup);
        cgroup.remove();
        file
    };
    let _files: Vec<TmpfsFile> = (0..ZOMBIES).map(zombie).collect();
    let (of_task, of_namespace) = (home.child("task"), home.child("namespace"));
    let _tasks = [unreaped_task(&of_task), namespace(&of_namespace)];
    of_task.remove();
    of_namespace.remove();
    expect_dying(ZOMBIES + 2);
    for round in 0..ROUNDS {
        let explain = Explain::run(&[]);
        let figure = |key: &str| explain.summary[key].as_u64().expect("a number");
        println!("figure explain {:.3}", figure("duration_ns") as f64 / 1e3);
        if round + 1 == ROUNDS {
            let of = [("memcgs", "memcgs"), ("references", "refs_total"), ("named", "refs_explained")];
            of.iter().for_each(|(name, key)| println!("figure {name} {}", figure(key)));
        }
    }
    if let Some(script) = env::var_os("DRGN") {
        let status = Command::new("python3").arg(script).args(["/drgn/vmlinux", "3"]).status();
        assert!(status.expect("run python3").success());
    }
}

/// Each round has all of them, and each comes first as often as the others.
fn rounds(churn_us: impl Fn() -> f64, tracers: &[(&str, &Start<'_>)]) {
    churn_us();
    let mut order: Vec<_> = tracers.iter().map(|(how, start)| (*how, Some(start))).collect();
    order.push(("untraced", None));
    for _ in 0..ROUNDS {
        for (how, start) in &order {
            let side = start.map(|start| start());
            println!("figure {how} {:.3}", churn_us());
            if let Some(side) = side {
                side.stop();
            }
        }
        order.rotate_left(1);
    }
}
