//! The end of a token. The app hears of it a while before and sends another; a session whose token has ended goes on for
//! a moment, and no longer.

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::refusal::{Code, close};
use kiez_protocol::time::Time;

use super::session::Session;
use crate::clock::Clock;
use crate::config::Limits;
use crate::live::outbox::Goodbye;

/// When the session's token ends, and whether its app knows.
#[derive(Clone, Copy, Debug)]
pub struct TokenClock {
    // Real time.
    ends: i64,
    warned: bool,
}

impl TokenClock {
    /// A token that ends at this instant of real time.
    pub fn new(ends: i64) -> TokenClock {
        TokenClock { ends, warned: false }
    }

    /// When to look at it again, ms since the server's start.
    pub fn look_at(&self, clock: &Clock, limits: &Limits) -> i64 {
        let at = if self.warned { self.ends + limits.token_grace_ms } else { self.ends - limits.expiring_ms };
        at - clock.real().0 + clock.elapsed_ms()
    }
}

impl Session {
    /// Looks at the token: tells the app that it ends soon.
    ///
    /// # Errors
    /// It has ended, and the grace after it too.
    pub fn look_at_token(&mut self) -> Result<(), Goodbye> {
        let left = self.token.ends - self.app.clock.real().0;
        if left <= -self.app.limits.token_grace_ms {
            return Err(Goodbye { code: close::TOKEN_EXPIRED, reason: "the token has expired" });
        }
        if left <= self.app.limits.expiring_ms && !self.token.warned {
            self.token.warned = true;
            self.outbox.push(FriendMessage::Expiring { at: Time(self.token.ends) }, false);
        }
        self.watch_token();
        Ok(())
    }

    /// A new token for the running session, if it is this friend's.
    pub fn refresh(&mut self, token: &str) {
        let claim = self.app.auth.friend(token).ok();
        let own = |subject: &str| self.app.live.directory.friend_by_subject(subject) == Some(self.friend());
        match claim.filter(|claim| own(&claim.subject)) {
            Some(claim) => {
                self.token = TokenClock::new(claim.expires_at.0);
                self.outbox.push(FriendMessage::Refreshed { expires_at: claim.expires_at }, false);
                self.watch_token();
            }
            None => self.refuse(Code::Unauthorized, None, None, "error.bad_token"),
        }
    }

    fn watch_token(&self) {
        self.app.live.look_at(&self.outbox, self.token.look_at(&self.app.clock, &self.app.limits));
    }
}
