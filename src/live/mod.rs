//! REMEMBER NOW. Concurrent memory: who is where, who is connected, what is offered under which terms, what the map
//! shows. All of it is built again after a restart; nothing here is the truth about a job.
//!
//! The maps stand behind types whose methods return values, never guards: a guard held across an await, or a second one
//! taken while the first is held, stops the server. Copy out, let go, then act.

pub mod directory;
pub mod epoch;
pub mod feed;
pub mod index;
pub mod outbox;
pub mod roster;
pub mod sessions;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use kiez_protocol::ids::{FriendId, SessionId};

use directory::Directory;
use feed::Feed;
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
    // Sessions that have ended, oldest first: their friends are suspect for a while before they leave the roster.
    departed: Mutex<VecDeque<(i64, FriendId, SessionId)>>,
}

impl Live {
    /// A session has ended at `now_ms` of real time. Its friend stays within reach for a while: a phone that changes
    /// networks is back in seconds.
    pub fn depart(&self, friend: FriendId, session: SessionId, now_ms: i64) {
        self.departed.lock().expect("nothing panics while it holds this").push_back((now_ms, friend, session));
    }

    /// Once a second: who departed `suspect_ms` ago and did not come back leaves the roster, and what was left behind is
    /// swept.
    pub fn sweep(&self, now_ms: i64, suspect_ms: i64) {
        loop {
            let gone = {
                let mut departed = self.departed.lock().expect("nothing panics while it holds this");
                match departed.front() {
                    Some((at, _, _)) if now_ms - at >= suspect_ms => departed.pop_front(),
                    Some(_) | None => None,
                }
            };
            let Some((_, friend, session)) = gone else { break };
            self.roster.leave(friend, session);
        }
        self.roster.sweep();
        self.sessions.sweep();
    }
}
