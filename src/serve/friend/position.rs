//! A position on its way to the roster, where only the newest counts. Off duty it is dropped at the door; one that comes
//! too soon after the last, or right behind the friend's going on duty, is held until it may be placed.

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::session::Session;
use crate::dispatch::input::Input;
use crate::live::fix::Fix;
use crate::live::roster::Placed;
use crate::metrics;

/// Fixes less accurate than this are not used, metres (rules of the trade, §5).
const ACCURACY_MAX_M: f64 = 500.0;

/// Why a fix is not used.
enum Unusable {
    OffEarth,
    Inaccurate,
}

impl Session {
    /// A fix within the limit.
    pub fn fix(&mut self, lat: f64, lng: f64, accuracy_m: Option<f64>, at: Option<Time>) {
        let fix = match self.usable(lat, lng, accuracy_m, at) {
            Ok(fix) => fix,
            Err(Unusable::OffEarth) => {
                metrics::fix("off_earth");
                return self.refuse(Code::Invalid, None, None, "error.fix_off_earth");
            }
            Err(Unusable::Inaccurate) => return metrics::fix("inaccurate"),
        };
        if !self.app.live.roster.on_duty(self.friend()) {
            if self.going_on {
                self.held_fix = Some(fix);
                return;
            }
            metrics::fix("off_duty");
            self.outbox.push(FriendMessage::StopLocation, false);
            return;
        }
        self.held_fix = None;
        self.place(fix);
    }

    /// A fix beyond the limit: the newest is kept, and placed when it may be.
    pub fn fix_too_soon(&mut self, lat: f64, lng: f64, accuracy_m: Option<f64>, at: Option<Time>) {
        metrics::fix("too_fast");
        if let Ok(fix) = self.usable(lat, lng, accuracy_m, at)
            && self.app.live.roster.on_duty(self.friend())
        {
            self.held_fix = Some(fix);
            self.wake_at(self.paces.next_fix(&self.app.limits));
        }
    }

    /// Places the fix that is held, if it may be by now. To be called when the limit may allow it, and when something was
    /// told: that may have been the friend's duty.
    pub fn place_held(&mut self) {
        let Some(fix) = self.held_fix else { return };
        let now = self.app.clock.elapsed_ms();
        if !self.app.live.roster.on_duty(self.friend()) {
            if !self.going_on {
                self.held_fix = None;
            }
        } else if self.paces.take_fix(now, &self.app.limits) {
            self.held_fix = None;
            self.place(fix);
        } else {
            self.wake_at(self.paces.next_fix(&self.app.limits));
        }
    }

    /// A fix that is on the earth and accurate enough, received now.
    fn usable(&self, lat: f64, lng: f64, accuracy_m: Option<f64>, at: Option<Time>) -> Result<Fix, Unusable> {
        let point = Point::new(lat, lng).map_err(|_| Unusable::OffEarth)?;
        let fix = Fix { taken_at: at, ..Fix::new(point, self.app.clock.now()) };
        match accuracy_m {
            None => Ok(fix),
            Some(accuracy_m) if (0.0..=ACCURACY_MAX_M).contains(&accuracy_m) => {
                Ok(Fix { accuracy_m: accuracy_m as f32, ..fix })
            }
            Some(_) => Err(Unusable::Inaccurate),
        }
    }

    fn place(&self, fix: Fix) {
        let friend = self.friend();
        metrics::fix(match self.app.live.roster.place(friend, fix) {
            Placed::First => {
                // Not told for want of room: the next look of a hungry job finds them.
                let _ = self.app.mailbox.send(Input::Placed { friend });
                "taken"
            }
            Placed::Moved | Placed::Same => "taken",
            Placed::Dropped => "off_duty",
            Placed::Late => "late",
            Placed::Jump => "jump",
        });
    }
}
