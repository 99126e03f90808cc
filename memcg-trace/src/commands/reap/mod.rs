//! `memcg-trace reap`: give back page cache that pins dying memcgs and that nobody needs.

mod cache;

use std::{
    collections::{BTreeMap, HashSet},
    io::{BufWriter, Write as _},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use self::cache::drop_cache;
use super::{
    args::{BtfArg, Format, OutputArgs},
    dying::{TargetArgs, WalkedMemcgs},
    progress::Progress,
};
use crate::{
    cause::{self, Behind, Explanation, File, FileKind, Folios, Pinned, Thing, path_of, pin_totals},
    event::Key,
    exit::Exit,
    kernel::{
        self, Kernel,
        pins::{LookOptions, Pins},
    },
    report::{
        escape::Name,
        json, text,
        view::{ReapView, ReapedFile},
    },
    source::take_walk,
    streams::Stdout,
    units::Count,
};

/// Give back clean page cache that pins dying memcgs
///
/// Finds the files whose page cache pins memcgs that were removed, drops the clean, unmapped page cache of exactly these
/// (POSIX_FADV_DONTNEED), and looks again: which memcgs are freed, and what pins the rest. Nothing is lost: whoever
/// reads one of these files next reads it from disk. Unlike /proc/sys/vm/drop_caches it leaves the caches of all other
/// files, dentries and inodes alone.
///
/// What is dirty, mapped, deleted, or in memory alone (tmpfs, memfd, shared memory) is left alone. Files are opened
/// without following links, and only if they are the very files that the kernel told.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub targets: TargetArgs,

    /// Only say what would be dropped
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// A css is freed an RCU grace period and two kworkers after its last reference went.
const SETTLES: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(100);

/// A file and what it pins.
struct CachedFile<'a> {
    file: &'a File,
    folios: Folios,
    refs: u64,
    memcgs: u64,
}

impl Args {
    pub fn run(self) -> Result<Exit> {
        let kernel = Kernel::probe(self.btf.file())?;
        let mut walk = kernel.load_walk().context("cannot list dying memcgs")?;
        let mut pins = Pins::open(&kernel, self.btf.file()).context("cannot find out what pins memcgs")?;
        let TargetArgs { targets, names } = &self.targets;
        // Names are needed for the targets alone.
        let resolver = if targets.is_empty() { None } else { names.resolver()? };
        let keys = WalkedMemcgs::new(&take_walk(&mut walk)?, resolver).dying(targets, &kernel.controller)?;
        let mut look = |keys: &[Key]| -> Result<Vec<Explanation>> {
            let memcgs = Count(keys.len() as u64);
            let _progress = Progress::start(format!("looking for what refers to {memcgs} memcgs"));
            let look =
                pins.look(keys, &LookOptions::default()).context("cannot read what refers to memcgs")?;
            Ok(cause::explain(&look))
        };
        let before = look(&keys)?;
        let files = cached(&before);
        let mut reaped = Vec::with_capacity(files.len());
        for cached in &files {
            let refused = match refusal(cached) {
                None if self.dry_run => None,
                None => drop_cache(cached.file).err().map(|refused| refused.to_string()),
                why => why.map(str::to_owned),
            };
            reaped.push((cached, refused));
        }
        let dropped = reaped.iter().filter(|(_, refused)| refused.is_none()).count() as u64;
        let after = match self.dry_run {
            true => None,
            false => {
                // Whatever is freed is out of the table of csses first.
                let end = Instant::now() + SETTLES;
                let mut left = keys.clone();
                while dropped > 0 && !left.is_empty() && Instant::now() < end {
                    thread::sleep(PAUSE);
                    let now: HashSet<Key> = take_walk(&mut walk)?.dying().filter_map(Key::of).collect();
                    left.retain(|key| now.contains(key));
                }
                Some(look(&left)?)
            }
        };
        self.print(&before, after.as_deref(), &reaped, dropped)?;
        Ok(Exit::Done)
    }

    fn print(
        &self,
        before: &[Explanation],
        after: Option<&[Explanation]>,
        reaped: &[(&CachedFile<'_>, Option<String>)],
        dropped: u64,
    ) -> Result<()> {
        let there = |explanations: &[Explanation]| {
            explanations.iter().filter(|explanation| !explanation.is_freed()).count() as u64
        };
        let refs =
            |explanations: &[Explanation]| explanations.iter().map(|explanation| explanation.refs).sum();
        let paths: Vec<_> = reaped.iter().map(|(cached, _)| path_of(cached.file)).collect();
        let files = reaped.iter().zip(&paths).map(|((cached, refused), path)| {
            let path = path.as_deref().or(cached.file.path.as_deref()).map(Name);
            let (major, minor) = cached.file.device;
            ReapedFile {
                path,
                path_escaped: path.is_some_and(|path| path.is_escaped_in_json()),
                device: format!("{major}:{minor}"),
                inode: cached.file.inode,
                refs: cached.refs,
                refs_dropped: match refused {
                    None => cached.refs.saturating_sub(cached.folios.mapped.unwrap_or(0)),
                    Some(_) => 0,
                },
                memcgs: cached.memcgs,
                bytes: cached.folios.pages.saturating_mul(kernel::page_bytes() as u64),
                refused: refused.clone(),
            }
        });
        let dying = there(before);
        let left = after.unwrap_or(before).iter().filter(|explanation| !explanation.is_freed());
        let view = ReapView {
            dry_run: self.dry_run,
            dying,
            files_dropped: dropped,
            files_refused: reaped.len() as u64 - dropped,
            refs_before: refs(before),
            refs_after: after.map(refs),
            freed: after.map(|after| dying.saturating_sub(there(after))),
            pins: pin_totals(left.map(Pinned::of)),
            files: files.collect(),
        };
        let mut out = BufWriter::new(Stdout::new());
        match self.output.format {
            Format::Text => text::reap(&mut out, &view, self.output.page())?,
            Format::Json => json::reap(&mut out, &view)?,
        }
        Ok(out.flush()?)
    }
}

/// Page cache of files that can be read again, by file, most references first.
fn cached(explanations: &[Explanation]) -> Vec<CachedFile<'_>> {
    let mut files: BTreeMap<((u32, u32), u64), CachedFile<'_>> = BTreeMap::new();
    for explanation in explanations {
        for part in &explanation.parts {
            let Behind::Thing(Thing::File { file, folios }) = &part.behind else { continue };
            if file.kind != FileKind::Regular {
                continue;
            }
            let new = || CachedFile {
                file,
                folios: Folios { mapped: Some(0), ..Folios::default() },
                refs: 0,
                memcgs: 0,
            };
            let cached = files.entry((file.device, file.inode)).or_insert_with(new);
            cached.refs += part.refs;
            cached.memcgs += 1;
            let sum = &mut cached.folios;
            sum.folios += folios.folios;
            sum.pages += folios.pages;
            sum.dirty += folios.dirty;
            sum.writeback += folios.writeback;
            sum.mapped = sum.mapped.zip(folios.mapped).map(|(sum, mapped)| sum + mapped);
        }
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.sort_by_key(|cached| (std::cmp::Reverse(cached.refs), cached.file.device, cached.file.inode));
    files
}

/// Why a file is left alone, as far as the look tells.
fn refusal(cached: &CachedFile<'_>) -> Option<&'static str> {
    let CachedFile { file, folios, .. } = cached;
    if folios.dirty + folios.writeback > 0 {
        Some("dirty: it has to be written first")
    } else if folios.mapped == Some(folios.folios) {
        Some("mapped by processes")
    } else if file.is_deleted() {
        Some("deleted, and still open")
    } else if file.path.is_none() {
        Some("no name of it is cached; memcg-trace explain says how to find it")
    } else {
        None
    }
}
