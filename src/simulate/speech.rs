//! What people say to each other: friends who ask before they say yes or would come at another time, customers who reply,
//! agree (or do so too late) and write. Some of it tells how to reach somebody, which nobody may read before the win.

use kiez_protocol::friend::{FriendFrame, Offer};
use kiez_protocol::ids::{JobId, OfferId};
use kiez_protocol::partner::Window;
use kiez_protocol::talk::{Reply, Voice};

use super::app::Deed;
use super::chance::Chance;
use super::people::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::shop::What;
use super::streets::FriendNo;
use super::world::{Event, World};
use crate::dispatch::effect::JobRecord;

/// What friends ask, what customers reply, and what both write.
const QUESTIONS: [&str; 3] =
    ["Welche Farbe hat die Lampe?", "Gruß von Kanari, ruf an: 030 5550199", "Haben Sie Strom? kanari@example.org"];
const REPLIES: [&str; 3] =
    ["Ja.", "Rot. Mehr unter +49 30 5550199, Ada Kanari", "Nein, in der Kanarigasse gibt es keinen."];
const WORDS: [&str; 3] = ["Ich bin gleich da.", "Rufen Sie an: +49 30 5550199.", "Bis bald, Kanari"];

impl World {
    /// A friend who sees an offer may ask or propose before they decide: whether they would rather wait for an answer.
    pub(crate) fn speaks_first(&mut self, friend: FriendNo, offer: &Offer) -> bool {
        let talk = self.faults().talk;
        let mut whim = self.whim(friend, offer.job, offer.attempt, "speech");
        let look = self.people[friend].looks_at(self.now, &mut whim);
        if whim.happens(0.07 * talk) {
            self.plan_at(look, Event::Deed(friend, Deed::Asks(offer.offer, 0)));
        }
        if offer.direct && whim.happens((0.4 * talk).min(0.8)) {
            self.plan_at(look, Event::Deed(friend, Deed::Writes(offer.job)));
        }
        let proposes = whim.happens(0.07 * talk);
        if proposes {
            self.plan_at(look + 1, Event::Deed(friend, Deed::Proposes(offer.offer)));
        }
        proposes && whim.happens(0.8)
    }

    /// A question about an offer on the screen; now and then one more, and one too many.
    pub(crate) fn friend_asks(&mut self, friend: FriendNo, offer: OfferId, times: u8) {
        if !self.people[friend].app.offers.contains_key(&offer) {
            return;
        }
        let key = self.key(friend);
        let chance = &mut self.people[friend].chance;
        let (text, more, wait) = (chance.pick(&QUESTIONS), chance.happens(0.4), chance.span_ms(2 * MINUTE_MS, 0.8));
        self.send_keyed(friend, key, FriendFrame::Ask { offer, text: text.to_owned(), key: Some(key) });
        if more && times < 3 {
            self.plan(wait, Event::Deed(friend, Deed::Asks(offer, times + 1)));
        }
    }

    /// Other times, of which some are over already.
    pub(crate) fn friend_proposes(&mut self, friend: FriendNo, offer: OfferId) {
        if !self.people[friend].app.offers.contains_key(&offer) {
            return;
        }
        let (key, now) = (self.key(friend), self.now);
        let chance = &mut self.people[friend].chance;
        let begins = if chance.happens(0.05) { -3 * HOUR_MS } else { chance.span_ms(8 * HOUR_MS, 0.8) };
        let window = |turn: usize| {
            let from = now + begins + turn as i64 * 3 * HOUR_MS;
            Window { from, to: from + 2 * HOUR_MS }
        };
        let windows = (0..1 + chance.below(3)).map(window).collect();
        self.send_keyed(friend, key, FriendFrame::Propose { offer, windows, key });
    }

    /// A message to the customer, who may be somebody else's by now.
    pub(crate) fn friend_writes(&mut self, friend: FriendNo, job: JobId) {
        let key = self.key(friend);
        let text = self.people[friend].chance.pick(&WORDS).to_owned();
        self.send_keyed(friend, key, FriendFrame::Message { job, text, key });
    }

    /// The customer reads what is new: replies, agrees, writes back; some too late, and some not at all.
    pub(crate) fn customer_hears(&mut self, record: &JobRecord) {
        let (job, talk) = (record.job.id, &record.talk);
        let draft = self.job_no(job);
        let won = record.events.iter().any(|event| event.kind == "assigned");
        if talk.is_empty() && !won || !self.has_draft(draft) {
            return;
        }
        let mixed = u64::from(draft) << 24 ^ u64::from(record.job.view.sequence);
        let mut chance = Chance::of(self.setting.seed, "customer", mixed);
        let mut plans = Vec::new();
        for question in talk.questions.iter().filter(|question| question.reply.is_none()) {
            if chance.happens(0.7) {
                let reply = Reply { question: question.number, text: chance.pick(&REPLIES).to_owned() };
                plans.push((chance.span_ms(10 * MINUTE_MS, 1.0), What::Reply(reply)));
            }
        }
        for proposal in &talk.proposals {
            let wait = chance.span_ms(8 * MINUTE_MS, 1.2);
            // A finger slips beside the windows, or taps twice.
            let window = if chance.happens(0.05) { 7 } else { chance.below(proposal.windows.len()) as u8 };
            for again in 0..u8::from(chance.happens(0.7)) + u8::from(chance.happens(0.1)) {
                plans.push((wait + i64::from(again) * 400, What::Confirm(proposal.offer, window)));
            }
        }
        let spoken = talk.messages.iter().any(|said| said.from == Voice::Friend);
        if spoken && chance.happens(0.4) || won && chance.happens(0.15 * self.faults().talk) {
            plans.push((chance.span_ms(5 * MINUTE_MS, 1.0), What::Write(chance.pick(&WORDS), chance.id(self.now))));
        }
        for (wait, what) in plans {
            self.plan(wait.clamp(500, DAY_MS), Event::Asks(draft, what));
        }
    }
}
