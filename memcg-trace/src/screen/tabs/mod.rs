//! The lists of the screen, one file each: columns, rows, and what a row says.

mod events;
mod leaked;
mod pins;
mod slab;
mod workloads;

pub use pins::PinsBy;

use super::{list::ListRows, status::Status};

/// The lists, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tab {
    #[default]
    /// Leaked memcgs
    Leaked,
    /// Dying memcgs by workload
    Workloads,
    /// What pins them
    Pins,
    /// Slab caches (--slab)
    Slab,
    Events,
}

/// What of a list is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Memcgs that are dying for less than the grace time, too.
    pub all_dying: bool,
    pub pins_by: PinsBy,
}

impl Tab {
    pub const ALL: [Self; 5] = [Self::Leaked, Self::Workloads, Self::Pins, Self::Slab, Self::Events];

    /// With how many there are.
    pub fn title(self, scope: Scope, status: &Status) -> String {
        use crate::units::Count;
        match self {
            Self::Leaked if scope.all_dying => format!("Dying {}", Count(status.totals.dying)),
            Self::Leaked => format!("Leaked {}", Count(status.totals.leaked)),
            Self::Workloads => "Workloads".to_owned(),
            Self::Pins => format!("Pins by {}", scope.pins_by.name()),
            Self::Slab => match &status.slab {
                Some(slab) => format!("Slab {}", Count(slab.leaked)),
                None => "Slab".to_owned(),
            },
            Self::Events => "Events".to_owned(),
        }
    }

    /// Names of columns, marked as for [`crate::report::text::Elastic`].
    pub fn columns(self, scope: Scope) -> &'static [&'static str] {
        match self {
            Self::Leaked => leaked::COLUMNS,
            Self::Workloads => workloads::COLUMNS,
            Self::Pins => scope.pins_by.columns(),
            Self::Slab => slab::COLUMNS,
            Self::Events => events::COLUMNS,
        }
    }

    /// The column that it is sorted by at first.
    pub fn first_sort(self) -> usize {
        match self {
            Self::Leaked => leaked::AGE,
            Self::Workloads | Self::Pins | Self::Slab | Self::Events => 0,
        }
    }

    pub fn rows(self, scope: Scope, status: &Status) -> ListRows {
        match self {
            Self::Leaked => leaked::rows(status, scope.all_dying),
            Self::Workloads => workloads::rows(status),
            Self::Pins => pins::rows(status, scope.pins_by),
            Self::Slab => slab::rows(status),
            Self::Events => events::rows(status),
        }
    }

    /// What is said where the list is empty.
    pub fn empty(self, scope: Scope, status: &Status) -> String {
        match self {
            Self::Leaked if scope.all_dying => "nothing is dying".to_owned(),
            Self::Leaked => leaked::none(status),
            Self::Workloads => "nothing is dying, and nothing was freed yet".to_owned(),
            Self::Pins => {
                "nothing is known to be pinned: references are looked at when a memcg is about to count as \
                           leaked, where kernel memory can be read"
                    .to_owned()
            }
            Self::Slab => slab::none(status),
            Self::Events => "nothing happened yet".to_owned(),
        }
    }
}
