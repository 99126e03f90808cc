//! A recording.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{Args, display::Display, frame};
use crate::{
    attribution::ByOwner,
    commands::recorded::{Recorded, RecordedFiles},
    exit::Exit,
    screen::{Action, Player},
    session::{Playback, Rollup, Stop},
};

/// How often time passes.
const TICK: Duration = Duration::from_millis(50);

pub fn run(args: &Args, file: &Path) -> Result<Exit> {
    let recorded = Recorded::find(file, &args.window)?;
    let window = recorded.window();
    let playback = Playback::open(move || recorded.files(), window, Some(Rollup::new(ByOwner::Workload)));
    let playback = playback.with_context(|| format!("cannot replay {}", file.display()))?;
    let at_ns = args.at.map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
    let player = Player::new(playback, at_ns)?;
    if !Args::interactive() {
        let mut player = player;
        frame::print(player.status(), args.tab, args.size, args.color.page().color)?;
        return Ok(Exit::Done);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the tokio runtime")?.block_on(show(args, player))
}

/// Until somebody leaves, or a signal ends it.
async fn show(
    args: &Args,
    mut player: Player<File, RecordedFiles, impl Fn() -> RecordedFiles>,
) -> Result<Exit> {
    let mut stop = Stop::listen()?;
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut stopped = listen(SignalKind::from_raw(libc::SIGTSTP))?;
    let mut continued = listen(SignalKind::from_raw(libc::SIGCONT))?;
    let display = Display::open(player.status(), args.tab, args.color.page().color)?;
    let mut before = Instant::now();
    loop {
        tokio::select! {
            () = sleep(TICK) => {}
            () = stop.requested(None) => break,
            _ = stopped.recv() => display.stop(),
            _ = continued.recv() => display.redraw(),
        }
        let elapsed = before.elapsed();
        before = Instant::now();
        let mut moved = player.pass(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))?;
        let actions = display.actions();
        if actions.contains(&Action::Quit) {
            break;
        }
        for action in actions {
            if let Action::Play(by) = action {
                player.move_by(by)?;
                moved = true;
            }
        }
        if moved {
            display.show(player.status());
        }
    }
    display.close()?;
    Ok(Exit::Done)
}
