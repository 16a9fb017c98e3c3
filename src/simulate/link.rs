//! The line between an app and the server, and how it fails: late, stalled, repeated, broken with or without a word, or
//! only one way. While a line holds, what is sent over it arrives in order; what is on its way when it breaks is lost.

use kiez_protocol::friend::{FriendFrame, FriendMessage, Welcome};
use kiez_protocol::ids::SessionId;
use kiez_protocol::time::Time;

use super::model::Checked;
use super::session::Session;
use super::streets::{FriendNo, friend_id};
use super::world::{Event, World};
use crate::dispatch::input::Input;

/// A line's number.
pub(crate) type LineNo = u64;

/// Messages on their way to one app at most: then the socket counts as too slow and is closed.
const UNREAD_MAX: usize = 64;
/// A friend without a connection still counts as reachable, ms.
const SUSPECT_MS: i64 = 40_000;

/// How good somebody's network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    Fair,
    Poor,
}

impl Quality {
    /// Half of all messages take less, ms.
    fn median_ms(self) -> i64 {
        match self {
            Quality::Good => 30,
            Quality::Fair => 60,
            Quality::Poor => 150,
        }
    }

    /// A line holds so long on average, ms, in usual weather.
    fn holds_ms(self) -> f64 {
        let hours = match self {
            Quality::Good => 8.0,
            Quality::Fair => 1.5,
            Quality::Poor => 0.3,
        };
        hours * 3_600_000.0
    }

    /// Messages that are seconds late.
    fn stall_share(self) -> f64 {
        match self {
            Quality::Good => 0.001,
            Quality::Fair => 0.005,
            Quality::Poor => 0.03,
        }
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub friend: FriendNo,
    /// The server's process at the other end.
    pub house: u32,
    /// What is sent arrives.
    up: bool,
    down: bool,
    up_last: Time,
    down_last: Time,
    /// Each end believes that the line holds.
    app_holds: bool,
    house_holds: bool,
    unread: usize,
}

impl World {
    /// An app tries to connect.
    pub(crate) fn dial(&mut self, friend: FriendNo, turn: u32) -> Checked {
        let person = &mut self.people[friend];
        person.app.dialling = false;
        if person.app.line.is_some() || !person.app.wants_line {
            return Ok(());
        }
        let current = self.current.filter(|number| self.houses.get(number).is_some_and(super::house::House::takes_in));
        let Some(number) = current else {
            // At random within five seconds, then up to thirty.
            let wait = person.chance.between(500.0, if turn == 0 { 5_000.0 } else { 30_000.0 }) as i64;
            self.redial(friend, turn + 1, wait);
            return Ok(());
        };
        self.lines_made += 1;
        let line = self.lines_made;
        let session = SessionId(person.chance.id(self.now));
        let (quality, language) = (person.traits.quality, person.traits.language);
        self.people[friend].app.line = Some(line);
        let made = Line {
            friend,
            house: number,
            up: true,
            down: true,
            up_last: self.now,
            down_last: self.now,
            app_holds: true,
            house_holds: true,
            unread: 0,
        };
        self.lines.insert(line, made);
        let factor = self.faults().network;
        if factor > 0.0 {
            let wait = self.net.wait_ms(quality.holds_ms() / factor).max(1);
            self.plan(wait, Event::LineBreaks(line));
        }
        self.with_house(number, |world, house| {
            let welcome = Welcome {
                session,
                resumed: false,
                server_time: world.now,
                time_scale: 1,
                heartbeat_ms: 25_000,
                friend: friend_id(friend),
            };
            let older = house.sessions.insert(friend, Session::new(line, session));
            if let Some(older) = older {
                world.close_from_house(older.line);
            }
            let heard = &mut world.model.heard[friend];
            *heard = super::model::Heard { session: Some(session), ..Default::default() };
            house.streets.join(friend, session, world.now);
            world.send_down(line, FriendMessage::Welcome(welcome));
            let joined = Input::Joined { friend: friend_id(friend), session, language };
            if world.put(house, joined).is_err() {
                world.end_session(house, friend, line);
                world.close_from_house(line);
            }
            Ok(())
        })
    }

    pub(crate) fn redial(&mut self, friend: FriendNo, turn: u32, wait_ms: i64) {
        if !std::mem::replace(&mut self.people[friend].app.dialling, true) {
            self.plan(wait_ms.max(1), Event::Dial(friend, turn));
        }
    }

    /// When a message sent now arrives, and whether it arrives twice.
    fn travel(&mut self, friend: FriendNo, last: Time) -> (Time, bool) {
        let quality = self.people[friend].traits.quality;
        let factor = self.faults().network;
        let mut ms = self.net.span_ms(quality.median_ms(), 0.5).max(1);
        if self.net.happens((quality.stall_share() * factor).min(0.3)) {
            self.count.late += 1;
            ms += self.net.span_ms(3_000, 1.0).min(120_000);
        }
        let twice = self.net.happens((0.002 * factor).min(0.05));
        ((self.now + ms).max(last), twice)
    }

    /// The app sends.
    pub(crate) fn send_up(&mut self, friend: FriendNo, frame: FriendFrame) {
        let Some(number) = self.people[friend].app.line else { return };
        let Some(last) = self.lines.get(&number).map(|line| line.up_last) else { return };
        let (at, twice) = self.travel(friend, last);
        self.lines.get_mut(&number).expect("just seen").up_last = at;
        if twice {
            self.count.repeated += 1;
            self.plan_at(at, Event::Up(number, Box::new(frame.clone())));
        }
        self.plan_at(at, Event::Up(number, Box::new(frame)));
    }

    /// The server sends.
    pub(crate) fn send_down(&mut self, number: LineNo, message: FriendMessage) {
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.house_holds) else { return };
        line.unread += 1;
        let (unread, friend, last) = (line.unread, line.friend, line.down_last);
        if unread > UNREAD_MAX {
            self.count.slow += 1;
            self.plan(1, Event::HouseNotices(number));
            return;
        }
        let (at, twice) = self.travel(friend, last);
        self.lines.get_mut(&number).expect("just seen").down_last = at;
        if twice {
            self.count.repeated += 1;
            self.plan_at(at, Event::Down(number, Box::new(message.clone()), false));
        }
        self.plan_at(at, Event::Down(number, Box::new(message), true));
    }

    /// A frame arrives at the server, if the line still holds.
    pub(crate) fn up(&mut self, number: LineNo, frame: FriendFrame) -> Checked {
        let Some(line) = self.lines.get(&number).filter(|line| line.up && line.house_holds) else {
            self.count.lost += 1;
            return Ok(());
        };
        let (house, friend) = (line.house, line.friend);
        self.with_house(house, |world, house| {
            if house.ended {
                return Ok(());
            }
            if house.frozen.is_some() {
                house.unread.push((friend, number, frame));
                return Ok(());
            }
            world.frame(house, friend, number, frame)
        })
    }

    /// A message arrives at the app, if the line still holds.
    pub(crate) fn down(&mut self, number: LineNo, message: FriendMessage, first: bool) {
        let Some(line) = self.lines.get_mut(&number) else { return };
        line.unread -= usize::from(first);
        if !line.down || !line.app_holds {
            self.count.lost += 1;
            return;
        }
        let friend = line.friend;
        if self.people[friend].app.line == Some(number) {
            self.app_hears(friend, message, first);
        }
    }

    /// The line breaks: one way or both, with a word or without.
    pub(crate) fn line_breaks(&mut self, number: LineNo) {
        let how = self.net.below(10);
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.up && line.down) else { return };
        self.count.broken += 1;
        let said = how < 3;
        (line.up, line.down) = match how {
            8 => (false, true),
            9 => (true, false),
            _ => (false, false),
        };
        // Without a word the app hears nothing and hangs up; the server misses pongs.
        let (app_ms, house_ms) = if said {
            (self.net.span_ms(100, 0.5), self.net.span_ms(100, 0.5))
        } else {
            (self.net.between(3_000.0, 40_000.0) as i64, self.net.between(10_000.0, 37_000.0) as i64)
        };
        self.plan(app_ms.max(1), Event::AppNotices(number));
        self.plan(house_ms.max(1), Event::HouseNotices(number));
    }

    /// The app hangs up: it goes to sleep, or has noticed that the line is dead.
    pub(crate) fn app_notices(&mut self, number: LineNo) {
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.app_holds) else { return };
        line.app_holds = false;
        let (friend, up) = (line.friend, line.up);
        if up {
            // The goodbye arrives.
            line.up = false;
            self.plan(50, Event::HouseNotices(number));
        }
        let person = &mut self.people[friend];
        if person.app.line == Some(number) {
            person.app.line = None;
            person.app.forget_session();
            let wait = person.chance.between(100.0, 5_000.0) as i64;
            if person.app.wants_line {
                self.redial(friend, 0, wait);
            }
        }
        self.forget_line(number);
    }

    /// The server ends a session: the pongs are missing, or a goodbye has come.
    pub(crate) fn house_notices(&mut self, number: LineNo) -> Checked {
        let Some(line) = self.lines.get(&number).filter(|line| line.house_holds) else { return Ok(()) };
        let (house, friend) = (line.house, line.friend);
        self.close_from_house(number);
        self.with_house(house, |world, house| {
            world.end_session(house, friend, number);
            Ok(())
        })
    }

    /// The server's end of a line is gone: closed, or the whole process is.
    pub(crate) fn close_from_house(&mut self, number: LineNo) {
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.house_holds) else { return };
        line.house_holds = false;
        if line.down {
            line.down = false;
            self.plan(20, Event::AppNotices(number));
        }
        self.forget_line(number);
    }

    /// A session is over. Its friend stays within reach for a while.
    pub(crate) fn end_session(&mut self, house: &mut super::house::House, friend: FriendNo, number: LineNo) {
        if house.sessions.get(&friend).is_some_and(|session| session.line == number) {
            let session = house.sessions.remove(&friend).expect("just seen").id;
            self.plan(SUSPECT_MS, Event::LeavesStreets(house.number, friend, session));
            let heard = &mut self.model.heard[friend];
            if heard.session == Some(session) {
                *heard = super::model::Heard::default();
            }
        }
    }

    fn forget_line(&mut self, number: LineNo) {
        if self.lines.get(&number).is_some_and(|line| !line.app_holds && !line.house_holds) {
            self.lines.remove(&number);
        }
    }
}
