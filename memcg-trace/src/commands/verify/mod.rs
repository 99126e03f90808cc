//! `memcg-trace verify`: provokes known leaks, and judges this kernel by the results.

pub mod explainer;
mod interrupt;
pub mod oracle;
pub mod round;
pub mod witness;

use std::{
    collections::HashSet,
    io::{BufWriter, Write as _},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::{
    explainer::Explainer,
    oracle::KernelOracle,
    round::{Round, RoundSettings},
    witness::Witness,
};
use super::{
    announce,
    args::{self, BtfArg, ColorArg},
    text_file,
    trace::BackendChoice,
};
use crate::{
    attribution::container_of_path,
    exit::Exit,
    kernel::{
        Kernel,
        cgroupfs::hierarchy::{Controller, ControllerError},
        clock,
    },
    record::{Start, Version},
    report::{
        html, json, junit, tap, text,
        view::{Ground, MatrixColumn, VerdictView, VerifyView},
    },
    scenarios::stage::Stage,
    session::release_memory,
    source::{MemcgPins, Stream, Wanted},
    streams::{Stdout, say},
    verdict::{Baseline, Differs, Evidence, Expectation, Played, ScenarioName, Verdict, judge},
};

/// Provoke known memcg leaks, and report which ones this kernel has
///
/// Each scenario creates cgroups, pins their memcgs in some way, and removes them. All run concurrently, traced by the
/// hooks, and then wait for the memcgs to be freed: with the pins in place, after drop_caches, after removing the pins,
/// and after both. A verdict needs two witnesses that agree: the ledger of events, and the kernel's own counts with a
/// walk. A third one, what refers to the memcgs that stayed, has to name what the scenario pins with.
///
/// It changes the node while it runs: it creates cgroups below one of its own, mounts, swaps, and drops the page cache.
/// Everything it created is removed at the end, even if interrupted; kernel modules that it loaded stay loaded.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub struct Args {
    /// Scenarios to run [default: all]
    #[arg(value_enum, value_name = "SCENARIO")]
    pub scenarios: Vec<ScenarioName>,

    /// Number of cgroups that each scenario creates
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub cgroups: u64,

    /// How long to wait for memcgs to be freed: after removal, and after each further step
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = args::duration)]
    pub settle: Duration,

    /// Expected verdicts: clean, leak, or a file with "SCENARIO VERDICT" on each line
    #[arg(long, value_name = "clean|leak|FILE", default_value = "clean")]
    pub expect: Expect,

    /// Output of an earlier run with -o json: report what changed since
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Fail unless the memory controller is in this hierarchy [default: any]
    #[arg(long, value_enum)]
    pub hierarchy: Option<Hierarchy>,

    /// Also use up all memcg IDs of this node for a while: nobody else can create a memory cgroup meanwhile
    #[arg(long)]
    pub exhaust: bool,

    /// Run even if pods are running here
    #[arg(long)]
    pub yes: bool,

    /// Source of events; auto uses the best that this kernel supports, and reports which and why
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,

    #[command(flatten)]
    pub btf: BtfArg,

    /// Output format; json is one object per line
    #[arg(short, long, value_enum, default_value_t = VerifyFormat::Text)]
    pub output: VerifyFormat,

    #[command(flatten)]
    pub color: ColorArg,
}

const NOTES: &str = "\
Verdicts:
  CLEAN         every memcg was freed by itself
  LEAK          memcgs were not freed, because something pins them: how many, how many of them hold their memcg IDs, what they
                are charged for, and after which step they were freed
  LATE          every memcg was freed by itself, but took longer than half the settle time
  INCONCLUSIVE  events were lost, the two witnesses disagree, or the leak could not be provoked
  SKIPPED       it cannot run here; this does not count as a pass

Exit codes, the worst verdict decides:
  0  all verdicts are as expected
  3  an unexpected leak
  1  another verdict than expected, or verify failed
  4  a verdict is inconclusive, or a scenario that was requested by name was skipped

Examples:
  memcg-trace verify                                        is this kernel clean?
  memcg-trace verify kmem-limit slab-caches                 does it have the leaks of RHEL 7?
  memcg-trace verify -o json > before; …; memcg-trace verify --baseline before
  memcg-trace verify --expect verdicts.txt -o junit > verify.xml";

/// See [`RoundSettings::agree`].
const AGREE: Duration = Duration::from_secs(3);

/// Number of pods for which verify does not require --yes.
const FEW_PODS: usize = 3;

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum VerifyFormat {
    Text,
    Json,
    /// JUnit XML
    Junit,
    /// Test Anything Protocol
    Tap,
    /// A page for a browser, with the baseline beside this kernel
    Html,
}

/// `--hierarchy`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hierarchy {
    V1,
    V2,
}

/// `--expect`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    All(Verdict),
    File(PathBuf),
}

impl FromStr for Expect {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "clean" => Self::All(Verdict::Clean),
            "leak" => Self::All(Verdict::Leak),
            file => Self::File(file.into()),
        })
    }
}

impl Expect {
    fn read(&self) -> Result<Expectation> {
        match self {
            Self::All(verdict) => Ok(Expectation::all(*verdict)),
            Self::File(path) => {
                let text = text_file::read(path);
                let text = text.with_context(|| format!("cannot read expectations: {}", path.display()))?;
                Expectation::parse(&text).with_context(|| format!("cannot use {}", path.display()))
            }
        }
    }
}

impl Args {
    /// Provokes, judges, cleans up and prints.
    pub fn run(self) -> Result<Exit> {
        // Read files first: later, we have our own mount namespace.
        let expectation = self.expect.read()?;
        let earlier = self.baseline.as_ref().map(|path| {
            let text = text_file::read(path);
            let text = text.with_context(|| format!("cannot read the baseline {}", path.display()))?;
            let parsed =
                Baseline::parse(&text).and_then(|baseline| Ok((baseline, MatrixColumn::parse(&text)?)));
            parsed.with_context(|| format!("cannot use {}", path.display()))
        });
        let (baseline, earlier) = earlier.transpose()?.unzip();
        let kernel = Kernel::probe(self.btf.file())?;
        self.may_run_here(&kernel.controller)?;
        release_memory();
        interrupt::listen()?;
        let (evidence, ground) = self.play(&kernel)?;

        let verdicts = evidence.iter().map(|evidence| {
            let judgement = judge(evidence, self.settle / 2);
            let pin = match evidence.played {
                Played::Done { pin, .. } => pin,
                Played::Skipped(_) | Played::Failed(_) => None,
            };
            let wanted = self.scenarios.contains(&evidence.name);
            VerdictView::new(evidence.name, wanted, pin, judgement, &expectation, &ground)
        });
        let view = VerifyView::new(verdicts.collect(), ground.clone(), baseline.as_ref());
        self.print(&view, earlier)?;
        Ok(exit(&view))
    }

    fn may_run_here(&self, controller: &Controller) -> Result<()> {
        let found = match controller.version {
            Version::V1 => Hierarchy::V1,
            Version::V2 => Hierarchy::V2,
        };
        if self.hierarchy.is_some_and(|wanted| wanted != found) {
            return Err(ControllerError::Elsewhere(controller.to_string()).into());
        }
        let paths = controller.census().paths;
        let pods: HashSet<_> = paths.values().filter_map(|path| container_of_path(path)?.pod_uid).collect();
        if pods.len() > FEW_PODS && !self.yes {
            bail!(
                "{} pods are running on this node, and verify creates zombies, swaps, and drops the page cache; drain the node, or \
                 pass --yes",
                pods.len()
            );
        }
        Ok(())
    }

    /// Plays all scenarios; when it returns, everything they created is removed.
    fn play(&self, kernel: &Kernel) -> Result<(Vec<Evidence>, Ground)> {
        let names: Vec<ScenarioName> = match self.scenarios.as_slice() {
            [] => ScenarioName::all().to_vec(),
            some => ScenarioName::all().iter().copied().filter(|name| some.contains(name)).collect(),
        };
        let (alone, together): (Vec<ScenarioName>, Vec<ScenarioName>) =
            names.into_iter().partition(|name| name.is_exclusive());
        let stage = Stage::new(&kernel.controller)?;
        let mut evidence = Vec::new();
        let mut ground = None;
        let rounds = std::iter::once(together).chain(alone.into_iter().map(|name| vec![name]));
        for names in rounds.filter(|names| !names.is_empty()) {
            match names.as_slice() {
                [ScenarioName::IdExhaustion] if !self.exhaust => {
                    let reason =
                        "it uses up all memcg IDs of this node for a while: request it with --exhaust";
                    let played = Played::Skipped(reason.to_owned());
                    evidence.push(Evidence { name: names[0], cgroups: 0, played, loss: Vec::new() });
                }
                names => {
                    let (seen, start) = self.round(kernel, &stage, names, ground.is_none())?;
                    evidence.extend(seen);
                    ground = Some(start);
                }
            }
        }
        let ground = ground.context("nothing to run: id-exhaustion needs --exhaust")?;
        Ok((evidence, ground))
    }

    fn round(
        &self,
        kernel: &Kernel,
        stage: &Stage,
        names: &[ScenarioName],
        first: bool,
    ) -> Result<(Vec<Evidence>, Ground)> {
        let wanted = Wanted {
            backend: self.backend.only(),
            perf_pages: None,
            walk: true,
            grace_ns: u64::MAX,
            clock: clock::offsets(),
        };
        let oracle = KernelOracle::new(kernel);
        let (stream, start) = Stream::open(kernel, &wanted)?;
        if first {
            announce::tracing(&start);
        }
        let settings = RoundSettings { cgroups: self.cgroups, settle: self.settle, agree: AGREE };
        let mut pins = MemcgPins::open(kernel, self.btf.file())
            .inspect_err(|error| say(&format!("what pins memcgs is not looked for: {error}")))
            .ok();
        let explainer = pins.as_mut().map(|pins| pins as &mut dyn Explainer);
        let ground = self.ground(&start);
        let witness = Witness::new(stream, start);
        let round = Round {
            stage,
            witness,
            oracle,
            explainer,
            settings,
            interrupted: interrupt::check,
            say: &mut |what| say(what),
        };
        let evidence = round.play(names)?;
        Ok((evidence, ground))
    }

    fn ground(&self, start: &Start) -> Ground {
        Ground {
            kernel: start.kernel.clone(),
            controller: start.controller.clone(),
            backend: start.backend,
            backend_reason: start.backend_reason.clone(),
            cgroups: self.cgroups,
            settle_ns: u64::try_from(self.settle.as_nanos()).unwrap_or(u64::MAX),
            page_bytes: start.page_bytes,
        }
    }

    fn print(&self, view: &VerifyView, earlier: Option<MatrixColumn>) -> Result<()> {
        let mut out = BufWriter::new(Stdout::new());
        match self.output {
            VerifyFormat::Text => text::verify(&mut out, view, self.color.page())?,
            VerifyFormat::Json => json::verify(&mut out, view)?,
            VerifyFormat::Junit => junit::verify(&mut out, view)?,
            VerifyFormat::Tap => tap::verify(&mut out, view)?,
            VerifyFormat::Html => {
                let columns: Vec<MatrixColumn> =
                    earlier.into_iter().chain([MatrixColumn::of(view)]).collect();
                html::verify(&mut out, &columns)?;
            }
        }
        Ok(out.flush()?)
    }
}

/// The worst verdict determines the exit code.
pub fn exit(view: &VerifyView) -> Exit {
    match view.verdicts.iter().map(|view| view.differs).max() {
        Some(Differs::Leak) => Exit::Leak,
        Some(Differs::Other) => Exit::Failed,
        Some(Differs::Unknown) => Exit::Inconclusive,
        Some(Differs::No) | None => Exit::Done,
    }
}
