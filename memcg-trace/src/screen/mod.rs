//! The screen of `top`: a state machine fed with what happens to a run and with keys, and a pure function that draws it.
//!
//! No I/O and no clock: [`StatusKeeper`] copies what is shown out of a book, a [`Screen`] holds it with what was chosen, [`draw`]
//! puts it into a frame, and what is to be done outside is an [`Action`]. `commands/top/` has the terminal.

mod areas;
mod detail;
mod draw;
mod explained;
mod ink;
mod keeper;
mod keys;
mod list;
mod mouse;
mod player;
mod sparkline;
mod status;
mod tabs;

use std::sync::Arc;

use ratatui::layout::Rect;

pub use draw::draw;
pub use explained::ExplainedNow;
pub use keeper::StatusKeeper;
pub use player::Player;
pub use status::{PlaybackStatus, Status};
pub use tabs::{PinsBy, Tab};

use self::{
    areas::Areas,
    detail::OpenMemcg,
    list::{ListRows, ListState, RowId},
    status::Zombie,
    tabs::Scope,
};
use crate::event::Key;

/// What is to be done outside of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    /// Stop as by Ctrl-Z of a shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Look at what pins it, and [tell](Screen::explain).
    Explain(Key),
    /// To the clipboard of the terminal.
    Copy(String),
    /// Start or end a recording.
    Record,
    Play(Move),
}

/// How a replay is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Toggle,
    /// By so many nanoseconds.
    By(i64),
    /// By so many tenths of the recording.
    Tenths(i64),
    Start,
    End,
    NextEvent,
    PreviousEvent,
    Faster,
    Slower,
}

/// The state of the screen.
pub struct Screen {
    size: Rect,
    /// What is shown.
    status: Arc<Status>,
    /// The latest; another one than what is shown while it is paused.
    latest: Arc<Status>,
    paused: bool,
    tab: Tab,
    scope: Scope,
    lists: [ListState; Tab::ALL.len()],
    /// Of the tab that is shown.
    rows: ListRows,
    order: Vec<usize>,
    /// The filter is being written.
    typing: bool,
    over: Over,
    /// What was done, until the next key.
    message: Option<String>,
}

/// What is in front of the list.
#[derive(Clone, Debug)]
enum Over {
    Nothing,
    /// Scrolled down by so many lines.
    Help(usize),
    Detail(Box<OpenMemcg>),
}

impl Screen {
    pub fn new(size: Rect, status: Arc<Status>) -> Self {
        let mut screen = Self {
            size,
            latest: status.clone(),
            status,
            paused: false,
            tab: Tab::default(),
            scope: Scope::default(),
            lists: Tab::ALL.map(|tab| ListState::sorted_by(tab.first_sort())),
            rows: ListRows::new(),
            order: Vec::new(),
            typing: false,
            over: Over::Nothing,
            message: None,
        };
        screen.fill();
        screen
    }

    /// The run went on. While the screen is paused this is kept for later.
    pub fn show(&mut self, status: Arc<Status>) {
        self.latest = status;
        if !self.paused {
            self.catch_up();
        }
    }

    /// The terminal has another size now.
    pub fn resize(&mut self, size: Rect) {
        self.size = size;
        self.settle();
    }

    /// What pins a memcg was looked for.
    pub fn explain(&mut self, explained: ExplainedNow) {
        if let Over::Detail(detail) = &mut self.over {
            detail.explain(explained);
        }
    }

    /// Says something in the last line, until the next key.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    fn catch_up(&mut self) {
        let before = std::mem::replace(&mut self.status, self.latest.clone());
        let same = Arc::ptr_eq(&before.zombies, &self.status.zombies)
            && Arc::ptr_eq(&before.events, &self.status.events)
            && Arc::ptr_eq(&before.freed, &self.status.freed)
            && before.slab.as_ref().map(Arc::as_ptr) == self.status.slab.as_ref().map(Arc::as_ptr);
        if !same {
            self.fill();
        }
        if let Over::Detail(detail) = &mut self.over {
            detail.follow(&self.status);
        }
    }

    fn list(&self) -> &ListState {
        &self.lists[self.tab as usize]
    }

    fn list_mut(&mut self) -> &mut ListState {
        &mut self.lists[self.tab as usize]
    }

    fn areas(&self) -> Areas {
        Areas::of(self.size)
    }

    /// Builds the list anew. The selected row stays so, unless it is the first one: what comes on top is to be seen.
    fn fill(&mut self) {
        let selected = self.selected().filter(|_| self.list().selected > 0);
        self.rows = self.tab.rows(self.scope, &self.status);
        self.order = self.list().order(&self.rows, &self.status);
        let place = selected.and_then(|id| self.order.iter().position(|place| self.rows[*place].id() == id));
        if let Some(place) = place {
            self.list_mut().selected = place;
        }
        self.settle();
    }

    fn settle(&mut self) {
        let (count, height) = (self.order.len(), self.areas().body.height.into());
        self.list_mut().settle(count, height);
    }

    fn selected(&self) -> Option<RowId> {
        let place = *self.order.get(self.list().selected)?;
        self.rows.get(place).map(|row| row.id())
    }

    /// Shows this list.
    pub fn turn_to(&mut self, tab: Tab) {
        self.tab = tab;
        self.rows.clear();
        self.order.clear();
        self.fill();
    }

    /// Opens what is selected: a memcg, or the memcgs that have something in common.
    fn open(&mut self) -> Option<Action> {
        match self.selected() {
            Some(RowId::Memcg(key) | RowId::Event(_, Some(key))) => return self.open_memcg(key),
            Some(RowId::Name(_)) => self.open_group(),
            Some(RowId::Event(_, None)) | None => {}
        }
        None
    }

    /// Live, its references are looked at anew.
    fn open_memcg(&mut self, key: Key) -> Option<Action> {
        let Some(zombie) = self.status.zombie(&key) else {
            self.say("it is not dying (any more): only zombies can be opened");
            return None;
        };
        self.over = Over::Detail(Box::new(OpenMemcg::new(zombie.clone())));
        self.status.playback.is_none().then_some(Action::Explain(key))
    }

    /// The zombies whose line has the same text.
    fn open_group(&mut self) {
        let column = match (self.tab, self.scope.pins_by) {
            (Tab::Workloads, _) => 7,
            (Tab::Pins, PinsBy::File) => 3,
            (Tab::Pins, PinsBy::Kind | PinsBy::Holder) => 2,
            (Tab::Leaked | Tab::Slab | Tab::Events, _) => return,
        };
        let Some(row) = self.order.get(self.list().selected).map(|place| &self.rows[*place]) else { return };
        let filter = row.cells(&self.status).swap_remove(column);
        self.lists[Tab::Leaked as usize].filter = filter;
        self.scope.all_dying = true;
        self.turn_to(Tab::Leaked);
    }
}
