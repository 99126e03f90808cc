//! A replay on the screen: where it is, and how it moves. The time that passes is told by whoever has a clock.

use std::io::{self, Read};

use anyhow::Result;

use super::{Move, PlaybackStatus, Status, StatusKeeper};
use crate::session::Playback;

/// Times as fast as it happened.
const SPEEDS: [u32; 3] = [1, 10, 100];

/// A recording, and what the screen shows of it.
pub struct Player<R: Read, I, F> {
    playback: Playback<R, I, F>,
    keeper: StatusKeeper,
    at_ns: u64,
    playing: bool,
    /// A place in [`SPEEDS`].
    speed: usize,
}

impl<R: Read, I: Iterator<Item = io::Result<R>>, F: Fn() -> I> Player<R, I, F> {
    /// At `at_ns` after the start; `None`: at the end.
    pub fn new(playback: Playback<R, I, F>, at_ns: Option<u64>) -> Result<Self> {
        let keeper = StatusKeeper::new(playback.start());
        let (started_ns, ended_ns) = (playback.start().started_ns, playback.ended_ns());
        let mut player = Self { playback, keeper, at_ns: started_ns, playing: false, speed: 0 };
        player.go_to(at_ns.map_or(ended_ns, |at_ns| started_ns.saturating_add(at_ns)))?;
        Ok(player)
    }

    /// Time passed; returns whether something changed.
    pub fn pass(&mut self, elapsed_ns: u64) -> Result<bool> {
        if !self.playing {
            return Ok(false);
        }
        self.go_to(self.at_ns.saturating_add(elapsed_ns.saturating_mul(SPEEDS[self.speed].into())))?;
        self.playing = self.at_ns < self.playback.ended_ns();
        Ok(true)
    }

    pub fn move_by(&mut self, by: Move) -> Result<()> {
        let (started_ns, ended_ns) = (self.playback.start().started_ns, self.playback.ended_ns());
        match by {
            Move::Toggle if self.at_ns >= ended_ns => {
                self.go_to(started_ns)?;
                self.playing = true;
            }
            Move::Toggle => self.playing ^= true,
            Move::By(ns) => self.go_to(self.at_ns.saturating_add_signed(ns))?,
            Move::Tenths(tenths) => {
                let tenth = i64::try_from(ended_ns.saturating_sub(started_ns) / 10).unwrap_or(i64::MAX);
                self.go_to(self.at_ns.saturating_add_signed(tenth.saturating_mul(tenths)))?;
            }
            Move::Start => self.go_to(started_ns)?,
            Move::End => self.go_to(ended_ns)?,
            Move::NextEvent => {
                let at_ns = self.playback.run_to_change(&mut self.keeper)?;
                self.at_ns = at_ns.clamp(self.at_ns, ended_ns);
            }
            Move::PreviousEvent => {
                let before = self.keeper.last_event_before(self.at_ns);
                self.go_to(before.unwrap_or(started_ns))?;
            }
            Move::Faster => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            Move::Slower => self.speed = self.speed.saturating_sub(1),
        }
        Ok(())
    }

    pub fn status(&mut self) -> Status {
        let playback = PlaybackStatus {
            started_ns: self.playback.start().started_ns,
            at_ns: self.at_ns,
            ended_ns: self.playback.ended_ns(),
            playing: self.playing,
            speed: SPEEDS[self.speed],
            damage: self.playback.damage().map(ToString::to_string),
        };
        loop {
            let status = self.keeper.look(self.playback.book(), None, self.at_ns);
            if self.keeper.is_complete() {
                return Status { playback: Some(playback), ..status };
            }
        }
    }

    fn go_to(&mut self, to_ns: u64) -> Result<()> {
        let to_ns = to_ns.clamp(self.playback.start().started_ns, self.playback.ended_ns());
        if to_ns < self.at_ns {
            self.playback.rewind()?;
            self.keeper = StatusKeeper::new(self.playback.start());
        }
        self.at_ns = to_ns;
        self.playback.run_to(to_ns, &mut self.keeper)
    }
}
