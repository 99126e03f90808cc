//! The thread that draws, and reads keys. The thread that drains puts what is to be shown where this one finds it, and never
//! waits for it.

use std::{
    io::{self, Stdout},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use ratatui::{
    Terminal,
    crossterm::event::{self, Event, KeyEventKind},
    layout::Rect,
    prelude::CrosstermBackend,
};

use super::terminal;
use crate::{
    kernel::privileges,
    report::text::Color,
    screen::{Action, ExplainedNow, Screen, Status, Tab, draw},
};

/// How long it waits for a key before it looks for something new to show.
const WAIT: Duration = Duration::from_millis(200);

/// How long the end waits for a terminal that takes nothing, or that is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// The screen on the terminal; given back when dropped.
pub struct Display {
    shared: Arc<Mutex<Notice>>,
    actions: Receiver<Action>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What the thread is to take notice of.
#[derive(Default)]
struct Notice {
    status: Option<Arc<Status>>,
    message: Option<String>,
    explained: Option<ExplainedNow>,
    /// The terminal has to be set up and drawn anew.
    redraw: bool,
    stop: bool,
    close: bool,
}

impl Display {
    /// Takes the terminal over.
    pub fn open(status: Status, tab: Tab, color: Color) -> Result<Self> {
        terminal::give_back_on_panic();
        terminal::take().context("cannot set up the terminal")?;
        let shared = Arc::new(Mutex::new(Notice::default()));
        let (sender, actions) = mpsc::channel();
        let theirs = shared.clone();
        let status = Arc::new(status);
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            // It shows names that anybody may have chosen.
            privileges::keep_none();
            let ran = run(&theirs, &sender, status, tab, color == Color::On);
            terminal::give_back();
            ran
        });
        let thread =
            thread.inspect_err(|_| terminal::give_back()).context("cannot start a thread for the screen")?;
        Ok(Self { shared, actions, thread: Some(thread) })
    }

    /// Shows this from now on.
    pub fn show(&self, status: Status) {
        lock(&self.shared).status = Some(Arc::new(status));
    }

    /// Says this in the last line.
    pub fn say(&self, message: String) {
        lock(&self.shared).message = Some(message);
    }

    /// Shows what pins the memcg that is open.
    pub fn explain(&self, explained: ExplainedNow) {
        lock(&self.shared).explained = Some(explained);
    }

    /// Somebody else may have changed the terminal.
    pub fn redraw(&self) {
        lock(&self.shared).redraw = true;
    }

    /// Gives the terminal back, and stops the process.
    pub fn stop(&self) {
        lock(&self.shared).stop = true;
    }

    /// What was asked for since; the last one is [`Action::Quit`] if the thread has ended.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions: Vec<Action> = self.actions.try_iter().collect();
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            actions.push(Action::Quit);
        }
        actions
    }

    /// Gives the terminal back.
    pub fn close(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        lock(&self.shared).close = true;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let start = Instant::now();
        while !thread.is_finished() {
            if start.elapsed() > PATIENCE {
                terminal::abandon();
                return Err(anyhow!("the terminal takes no more: it is left as it is"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        match thread.join() {
            Err(_) => Err(anyhow!("the thread of the screen panicked")),
            Ok(ended) => ended,
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::warn!("{error:#}");
        }
    }
}

fn lock(shared: &Mutex<Notice>) -> MutexGuard<'_, Notice> {
    // Nothing panics while holding the lock.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws until it is closed, or until somebody leaves.
fn run(
    shared: &Mutex<Notice>,
    actions: &Sender<Action>,
    status: Arc<Status>,
    tab: Tab,
    color: bool,
) -> Result<()> {
    let mut terminal =
        Terminal::new(CrosstermBackend::new(io::stdout())).context("cannot draw on the terminal")?;
    let mut screen = Screen::new(size(&terminal)?, status);
    screen.turn_to(tab);
    loop {
        terminal.draw(|frame| draw(&screen, frame, color)).context("cannot draw on the terminal")?;
        loop {
            terminal::wait(WAIT).context("cannot read keys")?;
            if event::poll(Duration::ZERO).context("cannot read keys")? {
                if !keys(&mut screen, &mut terminal, actions)? {
                    return Ok(());
                }
                break;
            }
            let notice = mem::take(&mut *lock(shared));
            // A panic of another thread has given the terminal back.
            if notice.close || !terminal::is_taken() {
                return Ok(());
            }
            if notice.stop {
                terminal::stop().context("cannot stop")?;
            }
            let redraw = notice.redraw || notice.stop;
            if redraw {
                renew(&mut screen, &mut terminal)?;
            }
            let shown = notice.status.map(|status| screen.show(status)).is_some();
            let said = notice.message.map(|message| screen.say(message)).is_some();
            let explained = notice.explained.map(|explained| screen.explain(explained)).is_some();
            if redraw || shown || said || explained {
                break;
            }
        }
    }
}

/// All that was typed by now; false: to leave.
fn keys(
    screen: &mut Screen,
    terminal: &mut Terminal<CrosstermBackend<Stdout>>,
    actions: &Sender<Action>,
) -> Result<bool> {
    loop {
        let action = match event::read().context("cannot read keys")? {
            Event::Key(key) if key.kind != KeyEventKind::Release => screen.key(key),
            Event::Mouse(mouse) => screen.mouse(mouse),
            Event::Resize(columns, lines) => {
                screen.resize(Rect::new(0, 0, columns, lines));
                None
            }
            _ => None,
        };
        match action {
            Some(Action::Suspend) => {
                terminal::stop().context("cannot stop")?;
                renew(screen, terminal)?;
            }
            Some(Action::Redraw) => renew(screen, terminal)?,
            Some(Action::Copy(text)) => terminal::copy(&text).context("cannot write to the terminal")?,
            Some(Action::Quit) => return Ok(false),
            // The other thread may have ended: this one will be closed.
            Some(action @ (Action::Record | Action::Explain(_) | Action::Play(_))) => {
                drop(actions.send(action))
            }
            None => {}
        }
        if !event::poll(Duration::ZERO).context("cannot read keys")? {
            return Ok(true);
        }
    }
}

/// Takes the terminal as it is now, and draws all of it.
fn renew(screen: &mut Screen, terminal: &mut Terminal<CrosstermBackend<Stdout>>) -> Result<()> {
    terminal::take().context("cannot set up the terminal")?;
    screen.resize(size(terminal)?);
    terminal.clear().context("cannot draw on the terminal")
}

fn size(terminal: &Terminal<CrosstermBackend<Stdout>>) -> Result<Rect> {
    let size = terminal.size().context("cannot ask for the size of the terminal")?;
    Ok(Rect::new(0, 0, size.width, size.height))
}
