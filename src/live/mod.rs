//! REMEMBER NOW. Concurrent memory: who is where, who is connected, what is offered under which terms, what the map
//! shows. All of it is built again after a restart; nothing here is the truth about a job.
//!
//! The maps stand behind types whose methods return values, never guards: a guard held across an await, or a second one
//! taken while the first is held, stops the server. Copy out, let go, then act.

pub mod directory;
pub mod due;
pub mod epoch;
pub mod feed;
pub mod fix;
pub mod index;
pub mod outbox;
pub mod reach;
pub mod roster;
pub mod sessions;

use std::sync::Arc;

use kiez_protocol::time::Time;

use directory::Directory;
use feed::Feed;
use reach::Patience;
use roster::Roster;
use sessions::Sessions;

/// All that is remembered now.
#[derive(Debug, Default)]
pub struct Live {
    /// Communities, packages, partners, friends.
    pub directory: Directory,
    /// Who is where.
    pub roster: Roster,
    /// Who is connected.
    pub sessions: Arc<Sessions>,
    /// What the map shows.
    pub feed: Feed,
}

impl Live {
    /// Once a second, as of `real_ms` of real time and the trade's `now`: who has been silent for long fades, whose position
    /// is another by now moves, and what was left behind is swept.
    pub fn sweep(&self, real_ms: i64, now: Time, patience: Patience) {
        self.roster.fade(real_ms, patience);
        self.roster.freshen(now);
        self.roster.sweep();
        self.sessions.sweep();
    }
}
