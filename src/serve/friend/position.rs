//! A position on its way to the roster, where only the newest counts. Off duty it is dropped at the door; one that comes
//! too soon after the last, or right behind the friend's going on duty, is held until it may be placed.

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;

use super::session::Session;
use crate::dispatch::input::Input;
use crate::live::roster::Placed;
use crate::metrics;

/// Fixes less accurate than this are not used, metres (rules of the trade, §5).
const ACCURACY_MAX_M: f64 = 500.0;

impl Session {
    /// A fix within the limit.
    pub fn fix(&mut self, lat: f64, lng: f64, accuracy_m: Option<f64>) {
        let Ok(point) = Point::new(lat, lng) else {
            metrics::fix("off_earth");
            return self.refuse(Code::Invalid, None, None, "error.fix_off_earth");
        };
        if !is_accurate(accuracy_m) {
            metrics::fix("inaccurate");
            return;
        }
        if !self.app.live.roster.on_duty(self.friend()) {
            if self.going_on {
                self.held_fix = Some(point);
                return;
            }
            metrics::fix("off_duty");
            self.outbox.push(FriendMessage::StopLocation, false);
            return;
        }
        self.held_fix = None;
        self.place(point);
    }

    /// A fix beyond the limit: the newest is kept, and placed when it may be.
    pub fn fix_too_soon(&mut self, lat: f64, lng: f64, accuracy_m: Option<f64>) {
        metrics::fix("too_fast");
        let usable = Point::new(lat, lng).ok().filter(|_| is_accurate(accuracy_m));
        if let Some(point) = usable.filter(|_| self.app.live.roster.on_duty(self.friend())) {
            self.held_fix = Some(point);
            self.wake_at(self.paces.next_fix(&self.app.limits));
        }
    }

    /// Places the fix that is held, if it may be by now. To be called when the limit may allow it, and when something was
    /// told: that may have been the friend's duty.
    pub fn place_held(&mut self) {
        let Some(point) = self.held_fix else { return };
        let now = self.app.clock.elapsed_ms();
        if !self.app.live.roster.on_duty(self.friend()) {
            if !self.going_on {
                self.held_fix = None;
            }
        } else if self.paces.take_fix(now, &self.app.limits) {
            self.held_fix = None;
            self.place(point);
        } else {
            self.wake_at(self.paces.next_fix(&self.app.limits));
        }
    }

    fn place(&self, point: Point) {
        let friend = self.friend();
        metrics::fix("taken");
        if self.app.live.roster.place(friend, point, self.app.clock.elapsed_ms()) == Placed::First {
            // Not told for want of room: the next look of a hungry job finds them.
            let _ = self.app.mailbox.send(Input::Placed { friend });
        }
    }
}

fn is_accurate(accuracy_m: Option<f64>) -> bool {
    accuracy_m.is_none_or(|accuracy| (0.0..=ACCURACY_MAX_M).contains(&accuracy))
}
