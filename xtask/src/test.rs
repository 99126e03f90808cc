//! `cargo xtask test`: all checks and tests, cheapest first.

mod report;
mod slowest;

use std::ffi::OsString;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use self::report::{Report, Tests};
use crate::arch;
use crate::process;
use crate::vm::{Cgroup, Died, Init, Kernel, Output, Vm, host_program, module};
use crate::workspace::{Profile, Target, Workspace, cargo};
use crate::{build, dependencies, deploy, docs, setup};

/// Run everything CI runs: format, lints, dependencies, documentation, what is in deploy/, unit, golden and property tests, tests on this machine
/// and in VMs.
///
/// Tests on this machine need root, tests in VMs need QEMU. Missing tools are installed, or the task fails: nothing is
/// skipped.
#[derive(clap::Args)]
pub struct Args {
    /// Only steps whose name contains this, as in "vm 6.12" or "arm64"; may be given more than once
    #[arg(long, value_name = "NAME")]
    filter: Vec<String>,
    /// Arguments for the test programs that run natively and in VMs, as in `-- storm`
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// The kernels to test on. From 6.12 Debian builds without the memory controller of cgroup v1.
const KERNELS: &[(&str, Cgroup)] = &[
    ("5.10", Cgroup::V1),
    ("5.10", Cgroup::V2),
    ("6.1", Cgroup::V1),
    ("6.1", Cgroup::V2),
    ("6.12", Cgroup::V2),
    ("7.2", Cgroup::V2),
];

/// The tests on arm64, where registers and layouts are others, and the kernel that they run on.
const ARM64: (&str, Cgroup) = ("6.12", Cgroup::V2);
const ARM64_TESTS: &[&str] = &[
    "doctor::says_yes_to_all_that_these_kernels_have",
    "matrix::tmpfs_file",
    "walks::scan_agrees_with_the_oracle",
    "explains::each_kind_is_named_and_freed_by_what_is_printed",
    "slabs::modules_come_and_go",
    "slabs::in_a_trace",
];

/// Slow tests, by part of their name, and the kernels on which they are useful.
const SELECTED: &[(&str, &[(&str, Cgroup)])] = &[
    // 65,535 cgroups take minutes; what newer kernels return in place of ENOSPC is in a golden test.
    ("exhaustion", &[("6.1", Cgroup::V2)]),
    // Tests the tool, not the kernel.
    ("mutations", &[("6.12", Cgroup::V2)]),
    // Pins differ by kernel; by hierarchy only in what is charged for them.
    ("explains", &[("5.10", Cgroup::V1), ("6.1", Cgroup::V2), ("6.12", Cgroup::V2), ("7.2", Cgroup::V2)]),
    // Of the tool, not of the kernel: one on each hierarchy, beside the one on this machine.
    ("everywhere::doctor", TOOL),
    ("everywhere::ends", TOOL),
    ("everywhere::failures", TOOL),
    ("everywhere::filters", TOOL),
    ("everywhere::names", TOOL),
    ("everywhere::observers", TOOL),
    ("everywhere::recordings", TOOL),
    ("everywhere::storms::loss", TOOL),
    ("cpus::", &[("6.12", Cgroup::V2)]),
    // A private cgroup namespace, as pods have on v2.
    ("pod::", &[("6.1", Cgroup::V2), ("6.12", Cgroup::V2)]),
    // Load and unload modules: once per kernel.
    ("slabs", &[("5.10", Cgroup::V2), ("6.1", Cgroup::V2), ("6.12", Cgroup::V2), ("7.2", Cgroup::V2)]),
    ("leaky", LEAKY),
    // Hooks, buffers and the walk differ by kernel alone.
    ("blind", EACH),
    ("kprobes", EACH),
    ("swaps::", EACH),
    ("merged::", &[("5.10", Cgroup::V1), ("6.1", Cgroup::V2), ("6.12", Cgroup::V2)]),
    // Charged from 6.7 on, pinning up to 7.0.
    ("hugetlb::", &[("6.12", Cgroup::V2)]),
    ("walks_", EACH),
    ("walks::killed", EACH),
    ("walks::trace", EACH),
    ("zombies_of", EACH),
    ("everywhere::storms", EACH),
];

/// For what is the same with both hierarchies.
const EACH: &[(&str, Cgroup)] =
    &[("5.10", Cgroup::V1), ("6.1", Cgroup::V2), ("6.12", Cgroup::V2), ("7.2", Cgroup::V2)];

/// For what is the same on all kernels.
const TOOL: &[(&str, Cgroup)] = &[("5.10", Cgroup::V1), ("6.12", Cgroup::V2)];

/// The VM in which systemd is process 1.
const SYSTEMD: (&str, Cgroup) = ("6.12", Cgroup::V2);

/// Kernels on which our test module leaks slab caches: those for which the compiler of Debian 12 can build modules.
const LEAKY: &[(&str, Cgroup)] = &[("5.10", Cgroup::V2), ("6.1", Cgroup::V2)];

/// Debian's modules that create slab caches, in addition to those in every VM.
const SLAB_MODULES: &[&str] = &["btrfs", "nf_conntrack"];

/// What the commands that `explain` prints are made of: busybox's know fewer options, and its shell takes no others.
const PASTED: &[&str] = &["dd", "find", "ipcrm", "sh", "truncate"];

/// Memory needed to use up 65,535 memcg IDs; emulated memory is free until touched.
const VM_MEMORY_MB: u32 = 4096;
const VM_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// VMs that run at the same time: most tests keep one of two CPUs busy.
const VMS_AT_ONCE: usize = 2;

/// A boot parameter that has its own tests.
const DISABLED: &str = "cgroup_disable=memory";

/// Integration tests (`memcg-trace/tests/*.rs`) that need root and may disturb the machine.
const NATIVE: &str = "native";
const IN_VM: &str = "vm";

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let workspace = &workspace.with(Profile::Integration);
    let on_arm64 = workspace.on(&arch::AARCH64);
    let mut report = Report::new(&args.filter);
    report.step("setup", || {
        let toolchain = setup::ensure_toolchain(workspace)?;
        setup::ensure_tools(&toolchain)
    });
    report.step("fmt", || process::run(in_root(workspace, cargo()).args(["fmt", "--all", "--check"])));
    // The following steps embed the objects.
    report.always("build", || build::build(workspace).map(drop));
    report.step("clippy", || {
        let mut clippy = in_root(workspace, cargo());
        clippy.args(["clippy", "--workspace", "--exclude", "memcg-trace-ebpf", "--all-targets"]);
        process::run(clippy.args(["--", "--deny", "warnings"]))
    });
    report.step("clippy-ebpf", || build::clippy_objects(workspace));
    report.step("dependencies", || dependencies::check(workspace));
    report.step("docs", || docs::check::check(workspace));
    report.step("deploy", || deploy::check(workspace));
    report.step("unit", || unit_tests(workspace));
    report.tests("native", |out| native_tests(workspace, &args.args, out));
    let mut vms = Vec::new();
    if !arch::AARCH64.is_host() {
        vms.push(arm64(&mut report, &on_arm64, &args.args));
    }
    vms.extend(
        KERNELS.iter().map(|on| {
            Tests::new(name_of("vm", on, ""), move |out| vm_tests(workspace, *on, &args.args, out))
        }),
    );
    vms.extend(TOOL.iter().map(|on| {
        let args = ["disabled".into(), "--ignored".into()];
        Tests::new(name_of("vm", on, DISABLED), move |out| in_vm(workspace, *on, DISABLED, &args, &[], out))
    }));
    vms.push(Tests::new(name_of("vm", &SYSTEMD, "systemd"), |out| systemd_test(workspace, out)));
    report.at_once(VMS_AT_ONCE, vms);
    Ok(report.end())
}

/// The name of a step whose tests run on another kernel, as in "vm 6.12 v2 systemd".
fn name_of(machine: &str, (series, cgroup): &(&str, Cgroup), how: &str) -> String {
    format!("{machine} {series} {} {how}", cgroup.name()).trim_end().to_owned()
}

/// Builds for arm64; the tests to run there in one VM: [`ARM64_TESTS`], unless others are asked for.
fn arm64<'a>(report: &mut Report<'_>, workspace: &'a Workspace, args: &[OsString]) -> Tests<'a> {
    report.step("arm64 setup", || setup::ensure_qemu(workspace.arch));
    report.step("arm64 build", || build::build(workspace).map(drop));
    let selected = ARM64_TESTS.iter().map(OsString::from).collect();
    let args = if args.is_empty() { selected } else { args.to_vec() };
    Tests::new(name_of("arm64", &ARM64, ""), move |out| in_vm(workspace, ARM64, "", &args, &[], out))
}

fn in_root(workspace: &Workspace, mut command: Command) -> Command {
    command.current_dir(&workspace.root);
    command
}

/// Tests that need neither root nor another kernel; those of the loader with the crates that it was built with.
fn unit_tests(workspace: &Workspace) -> Result<()> {
    // One reads the objects of every architecture.
    for arch in arch::ALL.into_iter().filter(|arch| !arch.is_host()) {
        build::objects(&workspace.on(arch))?;
    }
    process::run(in_root(workspace, cargo()).args(["test", "--package", "xtask"]))?;
    let mut tests = of_loader(workspace)?;
    tests.args(["--package", "memcg-trace-common", "--lib", "--bins"]);
    for name in workspace.integration_tests().filter(|name| ![NATIVE, IN_VM].contains(name)) {
        tests.args(["--test", name]);
    }
    process::run(&mut tests)?;
    process::run(of_loader(workspace)?.args(["--package", "memcg-trace-common", "--doc"]))
}

/// `cargo test` of the loader, with the crates that it was built with.
pub fn of_loader(workspace: &Workspace) -> Result<Command> {
    let mut tests = in_root(workspace, build::static_cargo(workspace, "test")?);
    tests.args(["--profile", workspace.profile.name(), "--package", "memcg-trace"]);
    Ok(tests)
}

/// Tests that create real cgroups on this machine.
fn native_tests(workspace: &Workspace, args: &[OsString], out: &mut dyn Write) -> Result<()> {
    let program = build_test(workspace, NATIVE)?;
    // sudo does not keep the environment, so pass it with env.
    let mut tests = process::as_root("env")?;
    tests.arg(format!("MEMCG_TRACE={}", workspace.loader().display())).arg(program);
    process::stream(tests.arg("--test-threads=1").args(args), out)
}

/// Runs the VM tests on one kernel.
fn vm_tests(
    workspace: &Workspace,
    on: (&str, Cgroup),
    args: &[OsString],
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let elsewhere = SELECTED.iter().filter(|(_, kernels)| !kernels.contains(&on));
    let skipped = elsewhere.flat_map(|(test, _)| ["--skip", test]).map(OsString::from);
    let args: Vec<OsString> = skipped.chain(args.iter().cloned()).collect();
    in_vm(workspace, on, "", &args, &[], out)
}

/// Runs the VM tests that `args` select, with `append` on the kernel's command line and these `programs` of this machine; their
/// stdout goes to `out`.
pub fn in_vm(
    workspace: &Workspace,
    on: (&str, Cgroup),
    append: &str,
    args: &[OsString],
    programs: &[&str],
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let mut vm = test_vm(workspace, on, "/bin", args)?;
    vm.files.extend(host_program::files(workspace.arch, &[PASTED, programs].concat())?);
    if append.is_empty() && LEAKY.contains(&on) && workspace.arch.is_host() {
        let leaky = module::build(workspace, &vm.kernel, "leaky")?;
        vm.files.push((leaky, "/lib/vm-modules/leaky.ko".into()));
    }
    pass(workspace, &Vm { append: append.to_owned(), ..vm }, out)
}

/// Runs the test that needs systemd, and runtimes that use its cgroup driver.
fn systemd_test(workspace: &Workspace, out: &mut (dyn Write + Send)) -> Result<()> {
    // In that VM, /bin is a symlink.
    let vm = test_vm(workspace, SYSTEMD, "/vm", &["systemd".into(), "--ignored".into()])?;
    pass(workspace, &Vm { init: Init::Systemd, ..vm }, out)
}

/// A VM with memcg-trace and the VM tests in a directory, which runs those selected by `args`.
pub fn test_vm(
    workspace: &Workspace,
    (series, cgroup): (&str, Cgroup),
    directory: &str,
    args: &[OsString],
) -> Result<Vm> {
    let program = build_test(workspace, IN_VM)?;
    let (loader, tests) = (format!("{directory}/memcg-trace"), format!("{directory}/vm-tests"));
    let environment =
        [("MEMCG_TRACE", &*loader), ("MEMCG_TRACE_KERNEL", series), ("MEMCG_TRACE_CGROUP", cgroup.name())];
    let command = [&*tests, "--test-threads=1"];
    Ok(Vm {
        kernel: Kernel::find(series, workspace.arch, false)?,
        cgroup,
        init: Init::Busybox,
        memory_mb: VM_MEMORY_MB,
        cpus: 2,
        append: String::new(),
        kvm: false,
        modules: SLAB_MODULES.iter().map(|&name| name.to_owned()).collect(),
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        command: command.into_iter().map(OsString::from).chain(args.iter().cloned()).collect(),
        files: vec![(workspace.loader(), loader.into()), (program, tests.into())],
        timeout: VM_TIMEOUT,
    })
}

/// Runs tests.
///
/// Where the CPU is emulated, a machine may die of that: of a stale int3 (`Oops: int3`), or of a double fault at a push onto a sound stack, both
/// with QEMU 7.2 on 6.12 while kprobes come and go. It is told, and run once more from the start: what memcg-trace is to blame for happens again.
pub fn pass(workspace: &Workspace, vm: &Vm, out: &mut (dyn Write + Send)) -> Result<()> {
    let run = match vm.run(workspace, Output::Stdout(out)) {
        Err(error) if !vm.kvm && error.is::<Died>() => {
            eprintln!("xtask: {error:#}\nxtask: the VM died; once more");
            vm.run(workspace, Output::Stdout(out))?
        }
        run => run?,
    };
    if run.code != 0 {
        bail!(
            "the tests failed on Linux {} with cgroup {}: exit code {}",
            vm.kernel.version,
            vm.cgroup.name(),
            run.code
        );
    }
    Ok(())
}

/// A line of cargo's JSON messages: only a finished program has an executable.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

/// Builds an integration test of memcg-trace as a static program, and returns its path.
fn build_test(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    if !workspace.integration_tests().any(|test| test == name) {
        bail!("memcg-trace has no integration test \"{name}\"");
    }
    let mut command = of_loader(workspace)?;
    command.args(["--test", name, "--no-run"]);
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let messages = child.stdout.take().context("cargo has no output")?;
    let messages = serde_json::Deserializer::from_reader(BufReader::new(messages)).into_iter::<Message>();
    let mut program = None;
    for message in messages {
        let message = message.context("cannot read cargo's messages")?;
        if message.target.is_some_and(|target| target.is_integration_test() && target.name == name) {
            program = program.or(message.executable);
        }
    }
    if !child.wait().context("cannot wait for cargo")?.success() {
        bail!("the integration test \"{name}\" failed to build");
    }
    program.with_context(|| format!("cargo built no program for the integration test \"{name}\""))
}
