//! Friends coming and going: duty is what they intend, it is recorded and never ends silently; a session that joins gets
//! its snapshot.

use kiez_protocol::directory::Language;
use kiez_protocol::friend::{Duty, FriendMessage, Snapshot};
use kiez_protocol::ids::{FriendId, Key, SessionId};
use kiez_protocol::time::Time;

use super::effect::{Commit, DutyRow, Effects, Message, Record, Subject};
use super::hand::{self, after_all};
use super::{Dispatcher, card};

/// A friend hears this long before their duty ends, ms (rules of the trade, §5).
const NOTICE_MS: i64 = 15 * 60_000;

impl Dispatcher {
    /// A friend goes on duty or off.
    pub(super) fn duty(&mut self, friend: FriendId, duty: Duty, key: Option<Key>, now: Time, effects: &mut Effects) {
        self.set_duty(friend, duty, now);
        let first_on = if duty.on { Some(self.waits.on_duty(friend, now)) } else { self.waits.off_duty(friend, now) };
        let mut then =
            vec![Message::Duty { friend, duty }, Message::Friend { friend, message: FriendMessage::Duty(duty) }];
        then.extend(key.map(|key| Message::Friend { friend, message: FriendMessage::Done { key } }));
        if !duty.on {
            then.push(Message::Friend { friend, message: FriendMessage::StopLocation });
        }
        let record = Some(Record::Duty(DutyRow { friend, duty, at: now, first_on }));
        effects.commits.push(Commit { subject: Subject::Friend(friend), record, then });
    }

    /// A duty ends, or its end is near.
    pub(super) fn duty_due(&mut self, friend: FriendId, now: Time, effects: &mut Effects) {
        let until = self.duties.get(&friend).and_then(|duty| duty.until);
        match until {
            Some(until) if until <= now => self.duty(friend, Duty { on: false, until: None }, None, now, effects),
            Some(until) => {
                self.duty_timers.set(friend, Some(until));
                let message = FriendMessage::DutyEnding { at: until };
                effects.now.push(Message::Friend { friend, message });
            }
            None => self.duty_timers.set(friend, None),
        }
    }

    /// Sets a duty without recording it.
    pub(super) fn set_duty(&mut self, friend: FriendId, duty: Duty, now: Time) {
        if duty.on {
            self.duties.insert(friend, duty);
        } else {
            self.duties.remove(&friend);
        }
        let notice = duty.until.map(|until| if until - NOTICE_MS > now { until - NOTICE_MS } else { until });
        self.duty_timers.set(friend, notice);
    }

    /// A session has said hello: its snapshot, after all that was recorded before.
    pub(super) fn joined(&mut self, friend: FriendId, session: SessionId, language: Language, effects: &mut Effects) {
        self.languages.insert(friend, language);
        let duty = self.duties.get(&friend).copied().unwrap_or_default();
        let mut snapshot = Snapshot { duty, ..Snapshot::default() };
        let mut held = Vec::new();
        let mut unsettled = Vec::new();
        if let Some(load) = self.capacity.of(friend) {
            for id in load.offers() {
                let Some(job) = self.offers.get(&id).and_then(|job| self.jobs.get(job)) else { continue };
                let Some(offer) = job.offers.iter().find(|offer| offer.id == id) else { continue };
                snapshot.offers.push(card::offer(job, offer, language));
                held.push(hand::hold(job, offer));
            }
            for (id, _) in &load.held {
                let Some(job) = self.jobs.get(id) else { continue };
                let Some(visit) = job.visit.as_ref().filter(|visit| visit.active) else { continue };
                let card = card::job(job, visit, language);
                if job.settled {
                    snapshot.visits.push(card);
                } else {
                    // Won, but perhaps never to be written: the customer's data waits for that very record.
                    let message = FriendMessage::Job(Box::new(card));
                    unsettled.push(after_all(*id, vec![Message::Friend { friend, message }]));
                }
            }
        }
        let message = Message::Snapshot { friend, session, language, snapshot: Box::new(snapshot), hand: held };
        let then = vec![Message::Duty { friend, duty }, message];
        effects.commits.push(Commit { subject: Subject::Friend(friend), record: None, then });
        effects.commits.extend(unsettled);
    }
}
