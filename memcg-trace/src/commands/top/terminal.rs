//! The terminal: taken over, and given back however the program ends.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Seek as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    panic,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, raise},
    },
    unistd::{dup, dup2_stderr},
};
use ratatui::crossterm::{
    cursor, event, execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};

/// What is held while the terminal is taken over; `None`: it is not. Global, as a panic has to give it back.
static TAKEN: Mutex<Option<HeldMessages>> = Mutex::new(None);

/// Messages that would be written across the screen: they wait in memory, and are written when the terminal is given back.
struct HeldMessages {
    /// Standard error, and the file in its place; `None`: it is no terminal.
    stderr: Option<(OwnedFd, File)>,
}

/// Gives the terminal back when a thread panics, before the panic is told.
pub fn give_back_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        give_back();
        tell(what);
    }));
}

/// Takes the terminal over: raw mode, the alternate screen, the mouse.
pub fn take() -> io::Result<()> {
    let mut taken = lock();
    if taken.is_none() {
        terminal::enable_raw_mode()?;
        *taken = Some(HeldMessages::hold());
    }
    // Once more after the process was stopped: the shell has changed it.
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, event::EnableMouseCapture, cursor::Hide)
}

/// As it was before. Its errors are of a terminal that is gone.
pub fn give_back() {
    if let Some(held) = lock().take() {
        let left = execute!(io::stdout(), event::DisableMouseCapture, LeaveAlternateScreen, cursor::Show);
        let cooked = terminal::disable_raw_mode();
        held.release();
        if let Err(error) = left.and(cooked) {
            log::debug!("cannot restore the terminal: {error}");
        }
    }
}

/// Gives it back without writing to it: it is gone, or takes no more.
pub fn abandon() {
    if let Err(error) = terminal::disable_raw_mode() {
        log::debug!("cannot restore the terminal: {error}");
    }
}

/// Waits for something to read; false: there is nothing after that time, but the size may be another one. An error if the
/// terminal is gone: whoever reads it then finds its end for ever, and crossterm goes on trying.
pub fn wait(time: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, time) {
        // A signal, as of another size.
        Ok(0) | Err(Errno::EINTR) => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    match polled[0].revents() {
        Some(events) if !events.intersects(gone) => Ok(true),
        _ => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the terminal is gone")),
    }
}

/// Whether it is taken over.
pub fn is_taken() -> bool {
    lock().is_some()
}

/// Gives the terminal back, stops until somebody lets the process go on (fg), and takes it over again.
pub fn stop() -> io::Result<()> {
    give_back();
    // To this thread: one to the process may stop another one first, and this one goes on for a moment.
    raise(Signal::SIGSTOP)?;
    take()
}

/// Puts a text on the clipboard by OSC 52, which many terminals allow, and others ignore.
pub fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
    out.flush()
}

fn lock() -> MutexGuard<'static, Option<HeldMessages>> {
    // Whoever panicked with it has not left it half done.
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HeldMessages {
    fn hold() -> Self {
        let stderr = io::stderr();
        let held = stderr.is_terminal().then(|| {
            let real = dup(stderr.as_fd())?;
            let file = memfd_create("messages", MFdFlags::MFD_CLOEXEC)?;
            dup2_stderr(&file)?;
            Ok::<_, nix::Error>((real, File::from(file)))
        });
        match held {
            Some(Ok(held)) => Self { stderr: Some(held) },
            Some(Err(error)) => {
                log::debug!("cannot hold messages: {error}");
                Self { stderr: None }
            }
            None => Self { stderr: None },
        }
    }

    fn release(self) {
        let Some((real, mut file)) = self.stderr else { return };
        let mut messages = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut messages));
        if let Err(error) = dup2_stderr(&real).map_err(io::Error::from).and(read) {
            log::debug!("cannot write messages: {error}");
        }
        // Nobody to tell is no reason to fail.
        let _ = io::stderr().write_all(&messages);
    }
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in table {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
