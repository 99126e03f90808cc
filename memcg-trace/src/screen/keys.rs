//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Action, Move, Over, PinsBy, Screen, Tab};

/// Steps of a replay, ns.
const STEP_NS: i64 = 1_000_000_000;

impl Screen {
    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Option<Action> {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Action::Quit),
                KeyCode::Char('z') => Some(Action::Suspend),
                KeyCode::Char('l') => Some(Action::Redraw),
                KeyCode::Char('u') if self.typing => {
                    self.list_mut().filter.clear();
                    self.fill();
                    None
                }
                _ => None,
            };
        }
        match &self.over {
            _ if self.typing => self.type_filter(key.code),
            Over::Nothing => return self.key_in_list(key.code),
            Over::Help(_) | Over::Detail(_) => return self.key_in_front(key.code),
        }
        None
    }

    fn type_filter(&mut self, code: KeyCode) {
        let filter = &mut self.list_mut().filter;
        match code {
            KeyCode::Char(c) => filter.push(c),
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Esc => {
                filter.clear();
                self.typing = false;
            }
            KeyCode::Enter => self.typing = false,
            _ => return,
        }
        self.fill();
    }

    fn key_in_list(&mut self, code: KeyCode) -> Option<Action> {
        let page = self.areas().body.height.max(1).into();
        match code {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Esc if self.list().filter.is_empty() => return Some(Action::Quit),
            KeyCode::Esc => {
                self.list_mut().filter.clear();
                self.fill();
            }
            KeyCode::Tab => self.turn_by(1),
            KeyCode::BackTab => self.turn_by(Tab::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => self.turn_to(Tab::ALL[digit as usize - '1' as usize]),
            KeyCode::Up | KeyCode::Char('k') => self.select(|at| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(|at| at + 1),
            KeyCode::PageUp => self.select(|at| at.saturating_sub(page)),
            KeyCode::PageDown => self.select(|at| at + page),
            KeyCode::Home | KeyCode::Char('g') => self.select(|_| 0),
            KeyCode::End | KeyCode::Char('G') => self.select(|_| usize::MAX),
            KeyCode::Char('s') | KeyCode::Right => self.sort_by_next(1),
            KeyCode::Left => self.sort_by_next(self.columns().len() - 1),
            KeyCode::Char('r') => {
                self.list_mut().reversed ^= true;
                self.fill();
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('a') if self.tab == Tab::Leaked => {
                self.scope.all_dying ^= true;
                self.fill();
            }
            KeyCode::Char('b') if self.tab == Tab::Pins => {
                self.scope.pins_by = self.scope.pins_by.next();
                self.fill();
            }
            KeyCode::Enter => return self.open(),
            KeyCode::Char('?') | KeyCode::F(1) => self.over = Over::Help(0),
            KeyCode::Char('w') => return self.record(),
            code => return self.key_of_time(code),
        }
        None
    }

    /// The same in front of the list: a memcg can be watched while time is moved.
    fn key_in_front(&mut self, code: KeyCode) -> Option<Action> {
        let page = self.areas().body.height.max(1).into();
        let closed = match code {
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Char('q') => true,
            KeyCode::Char('?') | KeyCode::F(1) => matches!(self.over, Over::Help(_)),
            _ => false,
        };
        if closed {
            self.over = Over::Nothing;
            return None;
        }
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.scroll(|at| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(|at| at + 1),
            KeyCode::PageUp => self.scroll(|at| at.saturating_sub(page)),
            KeyCode::PageDown => self.scroll(|at| at + page),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(|_| 0),
            KeyCode::End | KeyCode::Char('G') => self.scroll(|_| usize::MAX),
            KeyCode::Char(key @ ('y' | '1'..='9')) => return self.copy(key),
            KeyCode::Char('e') => return self.look_again(),
            code => return self.key_of_time(code),
        }
        None
    }

    /// Live, it can only be paused.
    fn key_of_time(&mut self, code: KeyCode) -> Option<Action> {
        if self.status.playback.is_none() {
            if code == KeyCode::Char(' ') {
                self.paused ^= true;
                self.catch_up();
            }
            return None;
        }
        let by = match code {
            KeyCode::Char(' ') => Move::Toggle,
            KeyCode::Char('t') => Move::By(STEP_NS),
            KeyCode::Char('T') => Move::By(-STEP_NS),
            KeyCode::Char('.') => Move::NextEvent,
            KeyCode::Char(',') => Move::PreviousEvent,
            KeyCode::Char('>') => Move::Tenths(1),
            KeyCode::Char('<') => Move::Tenths(-1),
            KeyCode::Char('[') => Move::Start,
            KeyCode::Char(']') => Move::End,
            KeyCode::Char('+' | '=') => Move::Faster,
            KeyCode::Char('-') => Move::Slower,
            _ => return None,
        };
        Some(Action::Play(by))
    }

    /// A command of the memcg that is open.
    fn copy(&mut self, key: char) -> Option<Action> {
        let Over::Detail(detail) = &self.over else { return None };
        let command = match key.to_digit(10) {
            None => detail.command(),
            Some(number) => detail.act(number as usize)?,
        };
        self.say(format!("copied, if this terminal lets programs do that: {command}"));
        Some(Action::Copy(command))
    }

    fn look_again(&self) -> Option<Action> {
        let Over::Detail(detail) = &self.over else { return None };
        self.status.playback.is_none().then(|| Action::Explain(detail.key()))
    }

    fn record(&mut self) -> Option<Action> {
        if self.status.playback.is_some() {
            self.say("this is a recording");
            return None;
        }
        Some(Action::Record)
    }

    pub(super) fn columns(&self) -> &'static [&'static str] {
        self.tab.columns(self.scope)
    }

    fn turn_by(&mut self, steps: usize) {
        self.turn_to(Tab::ALL[(self.tab as usize + steps) % Tab::ALL.len()]);
    }

    pub(super) fn select(&mut self, to: impl Fn(usize) -> usize) {
        let list = self.list_mut();
        list.selected = to(list.selected);
        self.settle();
    }

    fn sort_by_next(&mut self, steps: usize) {
        let columns = self.columns().len();
        self.sort_by((self.list().sort + steps) % columns);
    }

    pub(super) fn sort_by(&mut self, column: usize) {
        let list = self.list_mut();
        (list.sort, list.reversed) = (column, false);
        self.fill();
    }

    pub(super) fn scroll(&mut self, to: impl Fn(usize) -> usize) {
        let lines = self.lines_in_front().len();
        let height = usize::from(self.front().height);
        let last = lines.saturating_sub(height);
        match &mut self.over {
            Over::Help(at) => *at = to(*at).min(last),
            Over::Detail(detail) => detail.scroll = to(detail.scroll).min(last),
            Over::Nothing => {}
        }
    }
}

/// The keys in the last line.
pub(super) fn footer(screen: &Screen) -> Vec<(&'static str, &'static str)> {
    let replay = screen.status.playback.is_some();
    let time: &[(&str, &str)] = if replay {
        &[("Space", "play"), ("t/T", "±1s"), (",/.", "event"), ("</>", "±10%"), ("+/-", "speed")]
    } else {
        &[("Space", "pause")]
    };
    let here: &[(&str, &str)] = match (&screen.over, screen.tab) {
        (Over::Help(_), _) => &[("↑↓", "scroll")],
        (Over::Detail(_), _) if replay => &[("y", "copy command"), ("↑↓", "scroll")],
        (Over::Detail(_), _) => {
            &[("1-9", "copy what frees it"), ("y", "copy explain"), ("e", "look again"), ("↑↓", "scroll")]
        }
        (Over::Nothing, Tab::Leaked) if screen.scope.all_dying => {
            &[("Enter", "open"), ("a", "leaked"), ("/", "filter"), ("s", "sort")]
        }
        (Over::Nothing, Tab::Leaked) => {
            &[("Enter", "open"), ("a", "all dying"), ("/", "filter"), ("s", "sort")]
        }
        (Over::Nothing, Tab::Pins) => match screen.scope.pins_by {
            PinsBy::Kind => &[("Enter", "list"), ("b", "by file"), ("/", "filter"), ("s", "sort")],
            PinsBy::File => &[("Enter", "list"), ("b", "by holder"), ("/", "filter"), ("s", "sort")],
            PinsBy::Holder => &[("Enter", "list"), ("b", "by kind"), ("/", "filter"), ("s", "sort")],
        },
        (Over::Nothing, Tab::Workloads) => &[("Enter", "list"), ("/", "filter"), ("s", "sort")],
        (Over::Nothing, Tab::Slab | Tab::Events) => &[("/", "filter"), ("s", "sort")],
    };
    let mut keys =
        vec![("?", "help"), ("q", if matches!(screen.over, Over::Nothing) { "quit" } else { "back" })];
    keys.extend_from_slice(here);
    keys.extend_from_slice(time);
    if !replay && matches!(screen.over, Over::Nothing) {
        keys.push(("w", "record"));
    }
    keys
}
