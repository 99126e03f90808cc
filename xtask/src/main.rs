//! `cargo xtask`: one file per task, each documented by its `--help`.

mod arch;
mod bench;
mod build;
mod cross;
mod dependencies;
mod deploy;
mod dist;
mod docs;
mod fuzz;
mod image;
mod install;
mod look;
mod process;
mod run;
mod setup;
mod soak;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::workspace::Workspace;

/// Set up, build, run, test, measure and document memcg-trace.
///
/// Every task first does what it depends on: on a machine with only cargo, start with `cargo xtask run`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Setup(setup::Args),
    Build(build::Args),
    Run(run::Args),
    Test(test::Args),
    Vm(Box<vm::Args>),
    Bench(bench::Args),
    Docs(docs::Args),
    Fuzz(fuzz::Args),
    Image(image::Args),
    Dist(dist::Args),
    Look(look::Args),
    Soak(soak::Args),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let result = Workspace::find().and_then(|workspace| match task {
        Task::Setup(args) => setup::task(&workspace, &args),
        Task::Build(args) => build::task(&workspace, &args),
        Task::Run(args) => run::task(&workspace, &args),
        Task::Test(args) => test::task(&workspace, &args),
        Task::Vm(args) => vm::task(&workspace, &args),
        Task::Bench(args) => bench::task(&workspace, &args),
        Task::Docs(args) => docs::task(&workspace, &args),
        Task::Fuzz(args) => fuzz::task(&workspace, &args),
        Task::Image(args) => image::task(&workspace, &args),
        Task::Dist(args) => dist::task(&workspace, &args),
        Task::Look(args) => look::task(&workspace, &args),
        Task::Soak(args) => soak::task(&workspace, &args),
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
