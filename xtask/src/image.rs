//! `cargo xtask image`: an OCI image with nothing but the loader.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;
use crate::{build, process};

/// Build an OCI image FROM scratch: `target/xtask/memcg-trace.oci.tar`.
///
/// It takes podman, and needs neither root nor a registry. `podman load`, `ctr images import` and `skopeo copy` read the archive.
#[derive(clap::Args)]
pub struct Args {
    /// Name and tag in the archive
    #[arg(long, value_name = "NAME:TAG", default_value = concat!("memcg-trace:", env!("CARGO_PKG_VERSION")))]
    tag: String,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let loader = build::build(workspace)?;
    let context = workspace.target.join("xtask/image");
    let archive = workspace.target.join("xtask/memcg-trace.oci.tar");
    fs::create_dir_all(&context).with_context(|| format!("cannot make {}", context.display()))?;
    fs::copy(&loader, context.join("memcg-trace"))
        .with_context(|| format!("cannot copy {}", loader.display()))?;
    // podman refuses to write to an archive that exists.
    match fs::remove_file(&archive) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", archive.display()));
        }
        _ => {}
    }
    let file = workspace.root.join("deploy/image/Containerfile");
    let mut build = Command::new("podman");
    build.args(["build", "--isolation", "chroot", "--tag", &args.tag, "--file"]).arg(file).arg(&context);
    process::run(&mut build)?;
    let mut save = Command::new("podman");
    process::run(save.args(["save", "--format", "oci-archive", "--output"]).arg(&archive).arg(&args.tag))?;
    println!("{}", archive.display());
    Ok(ExitCode::SUCCESS)
}
