//! `memcg-trace whois`: identifies the owner of a path, process or container id.

use std::{
    ffi::{OsStr, OsString},
    io::{self, BufRead as _, BufWriter, Read as _, Write},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, bail};

use super::args::{Format, NamesArgs, OutputArgs};
use crate::{
    attribution::{Container, Question, container_of_path, unit_of_path},
    exit::Exit,
    kernel::{
        Kernel,
        cgroupfs::{
            hierarchy::{self, Controller},
            namespace,
        },
    },
    report::{
        escape::Name,
        json, text,
        view::{PathSource, WhoisView},
    },
    source::names::NameSources,
    streams::Stdout,
};

/// Identify the container, pod and unit of a cgroup path, process or container id
///
/// Shows how memcg-trace interprets a path, and the source of each fact: the path itself, or the files and sockets of
/// the container runtimes and kubelet on this node. Plain paths need no privileges and no cgroups, so an unrecognised
/// container can be reported in one line. A path starts with a slash, as in /proc/PID/cgroup; a number is a process; 12
/// to 64 hex digits are a container running on this node.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Cgroup path, process id, or container id; - reads them from standard input, one per line
    #[arg(value_name = "PATH|PID|ID", required = true)]
    pub queries: Vec<OsString>,

    #[command(flatten)]
    pub names: NamesArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Bytes of the longest query: 256 names of 255 bytes.
const LINE_MAX: u64 = 64 << 10;

impl Args {
    pub fn run(self) -> Result<Exit> {
        let mut out = BufWriter::new(Stdout::new());
        let mut exit = Exit::Done;
        let mut node = self.names.node()?;
        for query in &self.queries {
            if query != "-" {
                exit = worse(exit, self.answer(&mut out, &mut node, query.as_bytes())?);
                continue;
            }
            let mut input = io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let read = input.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut line);
                if read.context("cannot read standard input")? == 0 {
                    break;
                }
                let query = line.strip_suffix(b"\n").unwrap_or(&line);
                if query.len() as u64 > LINE_MAX {
                    bail!(
                        "a line of standard input has more than {LINE_MAX} bytes: no cgroup has such a path"
                    );
                }
                if !query.is_empty() {
                    exit = worse(exit, self.answer(&mut out, &mut node, query)?);
                }
            }
        }
        out.flush()?;
        Ok(exit)
    }

    /// Answers one query; a failure does not affect the others.
    fn answer(&self, out: &mut impl Write, node: &mut Option<NameSources>, query: &[u8]) -> Result<Exit> {
        let found = find(query);
        let (path, error) = match &found {
            Ok((path, source)) => (Some((path, *source)), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let exit = if error.is_some() { Exit::Failed } else { Exit::Done };
        let view = WhoisView {
            query: Name(query),
            path: path.map(|(path, _)| Name(path)),
            path_source: path.map(|(_, source)| source),
            container: path.and_then(|(path, _)| container(path, node)),
            unit: path.and_then(|(path, _)| unit_of_path(path)),
            error,
        };
        match self.output.format {
            Format::Text => text::whois(out, &view, self.output.page())?,
            Format::Json => json::whois(out, &view)?,
        }
        Ok(exit)
    }
}

/// Identifies a container from the path and from the node.
fn container(path: &[u8], node: &mut Option<NameSources>) -> Option<Container> {
    let mut facts = Vec::new();
    if let (Some(question), Some(node)) = (Question::about(path), node) {
        facts = node.files(&question);
        facts.extend(node.sockets(&question, &facts));
    }
    Container::of(path, &facts)
}

fn worse(exit: Exit, other: Exit) -> Exit {
    if other == Exit::Done { exit } else { other }
}

/// Resolves a query to a cgroup path.
fn find(query: &[u8]) -> Result<(Vec<u8>, PathSource)> {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if query.starts_with(b"/") {
        Ok((query.to_vec(), PathSource::Given))
    } else if let Some(pid) = pid(query) {
        path_of_process(pid)
    } else if SHORTEST_ID <= query.len() && query.len() <= LONGEST_ID && query.iter().all(hex) {
        Ok((path_of_container(query)?, PathSource::Hierarchy))
    } else {
        bail!("not a cgroup path (/…), process id, or 12 to 64 hex digits of a container id")
    }
}

/// Length of an id in `docker ps`, and its full length.
const SHORTEST_ID: usize = 12;
const LONGEST_ID: usize = 64;

/// Parses a process id, which is shorter than any container id.
fn pid(query: &[u8]) -> Option<u32> {
    let digits = query.len() < SHORTEST_ID && query.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(query).ok()?.parse().ok())?
}

fn path_of_process(pid: u32) -> Result<(Vec<u8>, PathSource)> {
    let file = format!("/proc/{pid}/cgroup");
    let lines = std::fs::read(&file).with_context(|| format!("cannot read {file}"))?;
    let path = hierarchy::memory_path(&lines).with_context(|| format!("{file} has no memory controller"))?;
    if !namespace::is_private() {
        return Ok((path.to_vec(), PathSource::Proc));
    }
    let root = namespace_root().with_context(|| {
        let path = Name(path);
        format!(
            "process {pid} is in {path} of our cgroup namespace, whose root in the hierarchy is not known; \
             run memcg-trace in the node's cgroup namespace"
        )
    })?;
    let whole = namespace::whole_path(root, Path::new(OsStr::from_bytes(path)));
    Ok((whole.into_os_string().into_vec(), PathSource::Kernel))
}

/// Root of our cgroup namespace in the hierarchy, which is read once.
fn namespace_root() -> Result<&'static Path> {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(root) = ROOT.get() {
        return Ok(root);
    }
    let root = Kernel::probe(None)?.namespace_root;
    let root = root.context("our own cgroup is outside of our cgroup namespace, or is not mounted")?;
    Ok(ROOT.get_or_init(|| root))
}

/// The outermost cgroup that belongs to the container.
fn path_of_container(id: &[u8]) -> Result<Vec<u8>> {
    let controller = Controller::find()?;
    let census = controller.census();
    let belongs = |path: &[u8]| {
        let container = container_of_path(path);
        container.and_then(|c| c.id).is_some_and(|found| found.as_bytes().starts_with(id))
    };
    let path = census.paths.into_values().filter(|path| belongs(path)).min_by_key(|path| path.len());
    let path = path.with_context(|| {
        let mount = controller.mount.display();
        format!("no cgroup below {mount} has this container id; for a dead container, use memcg-trace scan")
    })?;
    Ok(path.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_questions() {
        let own = find(std::process::id().to_string().as_bytes());
        assert_eq!(own.expect("our own process").1, PathSource::Proc);
        assert_eq!(find(b"/a/b").expect("a path"), (b"/a/b".to_vec(), PathSource::Given));
        for wrong in ["", "a/b", "4194305000", "17db96", "17DB96A24AE1", "17db96a24ae1g"] {
            assert!(find(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn digits_alone_can_be_a_container() {
        assert_eq!(pid(b"1234567"), Some(1_234_567));
        assert_eq!(pid(b"123456789012"), None);
    }
}
