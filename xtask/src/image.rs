//! `cargo xtask image`: an OCI image with nothing but the loader, for several architectures.
//!
//! An OCI archive is a tar of blobs that are named by their SHA-256 and refer to each other: an index, for each architecture a
//! manifest, its configuration and one layer (github.com/opencontainers/image-spec). Writing it takes no container engine, and
//! the same files give the same bytes, which no engine promises.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::arch::Arch;
use crate::dist::{Release, Tree};
use crate::workspace::Workspace;
use crate::{build, process};

/// The port that `serve` listens on.
const PORT: &str = "9467/tcp";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Build an OCI image FROM scratch: `target/xtask/memcg-trace.oci.tar`.
///
/// It takes no container engine, no root and no registry. `podman load`, `ctr images import` and `skopeo copy` read the archive.
#[derive(clap::Args)]
pub struct Args {
    /// Name and tag in the archive
    #[arg(long, value_name = "NAME:TAG", default_value = concat!("localhost/memcg-trace:", env!("CARGO_PKG_VERSION")))]
    tag: String,
    /// Architectures, separated by commas or given more than once [default: that of this machine]
    #[arg(long, value_name = "ARCH,…", value_delimiter = ',', value_parser = Arch::parse)]
    arch: Vec<&'static Arch>,
}

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let own = [Arch::host()];
    let archs = if args.arch.is_empty() { &own[..] } else { &args.arch };
    let release = Release::of(workspace)?;
    let mut image = Image::new(&args.tag, &release);
    for arch in archs {
        let loader = build::build(&workspace.on(arch))?;
        let mut tree = Tree::new(release.time);
        tree.program("memcg-trace", &loader)?;
        image.add(arch, &tree)?;
    }
    let archive = workspace.scratch().join("memcg-trace.oci.tar");
    image.write(&archive)?;
    println!("{}", archive.display());
    Ok(ExitCode::SUCCESS)
}

/// An image in the making.
pub struct Image<'a> {
    tag: &'a str,
    release: &'a Release,
    /// The files of the archive.
    files: Tree,
    /// Descriptors of what was added, one for each architecture.
    manifests: Vec<Value>,
}

impl<'a> Image<'a> {
    pub fn new(tag: &'a str, release: &'a Release) -> Self {
        Self { tag, release, files: Tree::new(release.time), manifests: Vec::new() }
    }

    /// Adds an architecture, whose root file system is `root`. `/memcg-trace` is what runs.
    pub fn add(&mut self, arch: &Arch, root: &Tree) -> Result<()> {
        let layer = root.tar()?;
        let diff_id = digest(&layer)?;
        let created = self.release.rfc3339()?;
        let labels = json!({
            "org.opencontainers.image.title": "memcg-trace",
            "org.opencontainers.image.version": self.release.version,
            "org.opencontainers.image.revision": self.release.commit,
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        });
        let config = json!({
            "created": created,
            "architecture": arch.debian,
            "os": "linux",
            "config": {
                "Entrypoint": ["/memcg-trace"],
                "Cmd": ["serve"],
                "ExposedPorts": {PORT: {}},
                "Labels": labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": created, "created_by": "cargo xtask image"}],
        });
        let config = self.blob(CONFIG, config.to_string().into_bytes())?;
        let layer = self.blob(LAYER, process::gzip(&layer)?)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let mut manifest = self.blob(MANIFEST, manifest.to_string().into_bytes())?;
        manifest["platform"] = json!({"architecture": arch.debian, "os": "linux"});
        self.manifests.push(manifest);
        Ok(())
    }

    /// Writes the archive.
    pub fn write(mut self, path: &Path) -> Result<()> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests});
        let mut index = self.blob(INDEX, index.to_string().into_bytes())?;
        // The one for podman and skopeo, the other for containerd.
        index["annotations"] =
            json!({"org.opencontainers.image.ref.name": self.tag, "io.containerd.image.name": self.tag});
        let top = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]});
        self.files.file("index.json", top.to_string().into_bytes());
        self.files.file("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes());
        std::fs::write(path, self.files.tar()?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Adds a blob and returns its descriptor.
    fn blob(&mut self, media_type: &str, content: Vec<u8>) -> Result<Value> {
        let digest = digest(&content)?;
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": content.len()});
        self.files.file(PathBuf::from("blobs").join(digest.replace(':', "/")), content);
        Ok(descriptor)
    }
}

/// `sha256:` and the sum, as OCI names content.
fn digest(content: &[u8]) -> Result<String> {
    let line = process::pipe(&mut Command::new("sha256sum"), content)?;
    let line = String::from_utf8_lossy(&line);
    let sum = line.split(' ').next().filter(|sum| sum.len() == 64);
    Ok(format!("sha256:{}", sum.context("sha256sum printed no sum")?))
}
