//! The cast: a town with its dispatcher, a clock that is set by hand, a ledger that can be held up or made to refuse,
//! and friends whose sessions take the claim word as real ones do.
//!
//! The town plays the engine: what a record was to tell is told when the record is written; what a refused record was
//! to tell is told to nobody (who waits for an answer hears `try_again`, or 503), and the job is read again from the
//! ledger. Whatever is told is compared with what is written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kiez::dispatch::claim::{Closed, Word};
use kiez::dispatch::effect::{Actor, Answer, By, Commit, Effects, InHand, Message, Stored, Subject};
use kiez::dispatch::input::{Confirm, Input, PartnerKey, Request, Terms};
use kiez::dispatch::job::{Booking, Job, OfferState};
use kiez::dispatch::nearest::{Nearby, Standing};
use kiez::dispatch::{Dispatcher, Pace, is_final};
use kiez_protocol::audit::AuditRole;
use kiez_protocol::directory::{Community, Friend, Language, Package, Policy};
use kiez_protocol::friend::{ClosedReason, DeclineReason, FriendMessage, LostReason, Snapshot, Verdict, VisitEvent};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, PartnerSlug, SessionId};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::{Answer as Given, EditJob, JobState, Window};
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Reply;
use kiez_protocol::time::Time;
use serde_json::json;
use uuid::Uuid;

use super::ledger::Ledger;
use super::streets::Streets;

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// The customer's door, and what only the winner may see of it.
pub const DOOR: (f64, f64) = (52.4996, 13.4180);
const CANARIES: [&str; 5] = ["Geheimgasse", "Ada Kanari", "+49305550199", "kanari@example.org", "secret-answer"];

/// Metres of one degree of latitude.
const DEGREE_M: f64 = 111_195.08;

/// An accept on its way: the session has tried the word.
#[derive(Clone, Debug)]
pub struct Accept(pub Input);

pub struct Town {
    pub core: Dispatcher,
    pub pace: Pace,
    pub now: Time,
    pub streets: Streets,
    pub ledger: Ledger,
    pub community: Community,
    pub package: Package,
    pub mailbox: VecDeque<Input>,
    /// Decided, not yet written.
    pub queue: VecDeque<Commit>,
    /// Whether the ledger is held up.
    pub held: bool,
    /// Whether the next record of a job will be refused for good.
    pub refuses: bool,
    pub refusals: u32,
    quarantined: BTreeSet<JobId>,
    pub hands: BTreeMap<(FriendId, OfferId), InHand>,
    /// Friends whose apps acknowledge nothing.
    pub deaf: BTreeSet<FriendId>,
    pub heard: Vec<(FriendId, FriendMessage)>,
    pub snapshots: BTreeMap<FriendId, Snapshot>,
    pub answers: BTreeMap<Request, Answer>,
    pub alarms: Vec<(AlarmKind, JobId)>,
    /// Accepts without a verdict.
    pub waiting: BTreeMap<Key, (FriendId, OfferId, u32)>,
    /// What every accept heard last.
    pub verdicts: BTreeMap<Key, (Verdict, Option<LostReason>)>,
    pub failed: BTreeSet<OfferId>,
    /// Everything the core wanted, as text; filled only when asked for.
    pub journal: Option<String>,
    counter: u128,
    starts: u64,
}

pub fn ada() -> PartnerSlug {
    "ada-telco".parse().expect("a slug")
}

pub fn ops() -> Actor {
    Actor::Ops(By { actor: "kim".to_owned(), role: AuditRole::Dispatcher, at: Time(0) })
}

impl Town {
    pub fn new() -> Town {
        Town::at_scale(1)
    }

    /// A town that goes by the rules as they are set by default: it sleeps at night, and a decline can be taken back.
    pub fn by_default() -> Town {
        let mut town = Town::new();
        town.community.policy = Policy::default();
        town
    }

    /// A town where so many ms of the trade pass in one ms of the wall.
    pub fn at_scale(scale: i64) -> Town {
        let now = Time(1_790_000_000_000);
        let community = json!({
            "slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
            "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000},
            // Nights and second thoughts have stories of their own.
            "policy": {"quiet": null, "undo_ms": 0},
        });
        let package = json!({
            "slug": "wifi-setup", "title": {"de": "WLAN", "en": "Wi-Fi"}, "category": "wifi", "duration_min": 60,
            "pricing": {"kind": "fixed", "price": {"amount": 4900, "currency": "EUR"}},
            "questions": [
                {"name": "router", "text": {"de": "Router?", "en": "Router?"}, "answer": {"kind": "text"},
                 "required": true, "in_offer": true},
                {"name": "note", "text": {"de": "Notiz", "en": "Note"}, "answer": {"kind": "text"}},
            ],
        });
        Town {
            core: Dispatcher::restore(Stored::default(), 1, Pace { scale }, now),
            pace: Pace { scale },
            now,
            streets: Streets::default(),
            ledger: Ledger::default(),
            community: serde_json::from_value(community).expect("a community"),
            package: serde_json::from_value(package).expect("a package"),
            mailbox: VecDeque::new(),
            queue: VecDeque::new(),
            held: false,
            refuses: false,
            refusals: 0,
            quarantined: BTreeSet::new(),
            hands: BTreeMap::new(),
            deaf: BTreeSet::new(),
            heard: Vec::new(),
            snapshots: BTreeMap::new(),
            answers: BTreeMap::new(),
            alarms: Vec::new(),
            waiting: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            failed: BTreeSet::new(),
            journal: None,
            counter: 1_000,
            starts: 1,
        }
    }

    pub fn id(&mut self) -> Uuid {
        self.counter += 1;
        Uuid::from_u128(self.counter)
    }

    // Friends.

    /// A friend on duty, so many metres north of the door.
    pub fn friend(&mut self, metres: u32) -> FriendId {
        self.friend_with(metres, |_| {})
    }

    pub fn friends<const N: usize>(&mut self, metres: [u32; N]) -> [FriendId; N] {
        metres.map(|metres| self.friend(metres))
    }

    pub fn friend_with(&mut self, metres: u32, with: impl FnOnce(&mut Friend)) -> FriendId {
        let id = FriendId(self.id());
        let mut profile: Friend = serde_json::from_value(json!({
            "id": id, "name": format!("Friend {id}"), "communities": ["berlin-tech"], "country": "DE",
        }))
        .expect("a friend");
        with(&mut profile);
        self.streets.place(Standing {
            friend: id,
            profile: Arc::new(profile),
            position: north(metres),
            on_duty: true,
            reachable: true,
        });
        id
    }

    /// A friend comes into reach at so many metres.
    pub fn arrives(&mut self, friend: FriendId, metres: u32) {
        self.streets.change(friend, |standing| {
            standing.position = north(metres);
            standing.reachable = true;
        });
        self.send(Input::Placed { friend });
    }

    pub fn duty(&mut self, friend: FriendId, on: bool) {
        let received_at = self.now;
        self.send(Input::Duty { friend, on, until: None, key: None, received_at });
    }

    pub fn join(&mut self, friend: FriendId) {
        let session = SessionId(self.id());
        self.send(Input::Joined { friend, session, language: Language::De });
    }

    // Partners.

    pub fn booking(&self) -> Booking {
        serde_json::from_value(json!({
            "place": {"lat": DOOR.0, "lng": DOOR.1},
            "address": {"street": "Geheimgasse 7", "postcode": "10999", "city": "Berlin", "country": "DE"},
            "customer": {"name": "Ada Kanari", "phone": "+49305550199", "email": "kanari@example.org",
                         "language": "de"},
            "answers": {"router": "Fritz!Box 7590, ruf an +49 30 5550199", "note": "secret-answer"},
            "windows": [], "urgency": "normal", "payment_method": "card_online",
            "max_hourly_rate": null, "partner_ref": null,
        }))
        .expect("a booking")
    }

    pub fn terms(&self) -> Terms {
        Terms {
            package: Arc::new(self.package.clone()),
            package_version: 1,
            community: Arc::new(self.community.clone()),
            community_version: 1,
            commission: self.community.commission.clone(),
        }
    }

    pub fn post(&mut self) -> JobId {
        self.post_with(|_| {})
    }

    pub fn post_with(&mut self, with: impl FnOnce(&mut Booking)) -> JobId {
        let mut booking = self.booking();
        with(&mut booking);
        let request = self.post_keyed(booking, None);
        match self.answers.get(&request) {
            Some(Answer::Posted(view)) => view.id,
            other => panic!("posted, and heard {other:?}"),
        }
    }

    pub fn post_keyed(&mut self, booking: Booking, key: Option<(&str, u8)>) -> Request {
        let request = self.request();
        let key = key.map(|(key, body)| PartnerKey { key: key.to_owned(), body: [body; 32] });
        let (booking, terms, received_at) = (Arc::new(booking), self.terms(), self.now);
        self.send(Input::Posted {
            request,
            partner: ada(),
            by: Actor::Partner(ada()),
            reason: None,
            key,
            booking,
            terms,
            received_at,
        });
        request
    }

    pub fn cancel(&mut self, job: JobId) -> Request {
        let request = self.request();
        let (reason, received_at) = (Some("moved away".to_owned()), self.now);
        self.send(Input::Cancelled { request, by: Actor::Partner(ada()), job, reason, received_at });
        request
    }

    pub fn edit(&mut self, job: JobId, edit: EditJob) -> Request {
        let request = self.request();
        let received_at = self.now;
        self.send(Input::Edited { request, by: Actor::Partner(ada()), job, edit: Box::new(edit), received_at });
        request
    }

    /// The partner passes on what the customer has answered.
    pub fn give(&mut self, job: JobId, answers: &[(&str, &str)]) -> Request {
        let named = |(name, text): &(&str, &str)| (name.parse().expect("a word"), Given::Text((*text).to_owned()));
        let (request, answers, received_at) = (self.request(), answers.iter().map(named).collect(), self.now);
        self.send(Input::Answered {
            request,
            by: Actor::Partner(ada()),
            job,
            answers,
            replies: Vec::new(),
            received_at,
        });
        request
    }

    pub fn pause(&mut self, job: JobId) -> Request {
        let (request, by, received_at) = (self.request(), ops(), self.now);
        self.send(Input::Paused { request, by, job, reason: "the street is closed".to_owned(), received_at });
        request
    }

    pub fn resume(&mut self, job: JobId) -> Request {
        let (request, by, received_at) = (self.request(), ops(), self.now);
        self.send(Input::Resumed { request, by, job, reason: "it is open again".to_owned(), received_at });
        request
    }

    pub fn request(&mut self) -> Request {
        self.counter += 1;
        u64::try_from(self.counter).expect("few requests")
    }

    pub fn refused(&self, request: Request) -> Option<Code> {
        match self.answers.get(&request) {
            Some(Answer::Refused { code, .. }) => Some(*code),
            Some(Answer::WrongState { .. }) => Some(Code::WrongState),
            _ => None,
        }
    }

    // What friends do.

    /// The friend's newest offer of a job, as far as it is written.
    pub fn offer(&self, friend: FriendId, job: JobId) -> OfferId {
        let offers = self.ledger.jobs[&job].offers.values();
        offers.filter(|offer| offer.friend == friend).max_by_key(|offer| offer.seat).expect("was asked").id
    }

    pub fn accept(&mut self, friend: FriendId, job: JobId) -> Key {
        let key = Key(self.id());
        self.accept_again(friend, job, key);
        key
    }

    pub fn accept_again(&mut self, friend: FriendId, job: JobId, key: Key) {
        if let Some(accept) = self.take_word(friend, job, key) {
            self.deliver(accept);
        }
    }

    /// What a session does with an accept: the word in the hand is tried, and the dispatcher hears of it unless the
    /// word is settled or closed for good. The accept is in the mailbox only when it is delivered.
    pub fn take_word(&mut self, friend: FriendId, job: JobId, key: Key) -> Option<Accept> {
        let offer = self.offer(friend, job);
        let revision = self.ledger.jobs[&job].row.view.revision;
        self.take_word_of(friend, offer, revision, key)
    }

    pub fn take_word_of(&mut self, friend: FriendId, offer: OfferId, revision: u32, key: Key) -> Option<Accept> {
        self.waiting.insert(key, (friend, offer, revision));
        let in_hand = self.hands.get(&(friend, offer));
        let first = match in_hand.map(|in_hand| (in_hand.claim.take(in_hand.seat), in_hand.seat)) {
            Some((Word::Open, _)) => true,
            Some((Word::Settled(winner), seat)) if winner != seat => {
                self.verdict(friend, key, Verdict::Lost, Some(LostReason::Taken));
                return None;
            }
            Some((Word::Closed(Closed::Cancelled), _)) => {
                self.verdict(friend, key, Verdict::Lost, Some(LostReason::JobCancelled));
                return None;
            }
            Some((Word::Taken(_) | Word::Settled(_) | Word::Closed(_) | Word::Retired, _)) | None => false,
        };
        let profile = self.streets.find(friend).expect("lives here").profile;
        let received_at = self.now;
        Some(Accept(Input::Accepted { friend: profile, offer, key, revision, received_at, first }))
    }

    pub fn deliver(&mut self, accept: Accept) {
        self.send(accept.0);
    }

    pub fn decline(&mut self, friend: FriendId, job: JobId) {
        self.decline_for(friend, job, DeclineReason::NoTime);
    }

    pub fn decline_for(&mut self, friend: FriendId, job: JobId, reason: DeclineReason) {
        let (offer, received_at) = (self.offer(friend, job), self.now);
        self.send(Input::Declined { friend, offer, reason, key: None, received_at });
    }

    pub fn ask(&mut self, friend: FriendId, job: JobId, text: &str) -> Key {
        let (key, offer, received_at) = (Key(self.id()), self.offer(friend, job), self.now);
        self.send(Input::Asked { friend, offer, text: text.to_owned(), key: Some(key), received_at });
        key
    }

    /// The customer replies to a question.
    pub fn reply(&mut self, job: JobId, question: u16, text: &str) -> Request {
        let replies = vec![Reply { question, text: text.to_owned() }];
        let (request, received_at) = (self.request(), self.now);
        let (by, answers) = (Actor::Customer, BTreeMap::new());
        self.send(Input::Answered { request, by, job, answers, replies, received_at });
        request
    }

    /// A friend proposes windows that begin so many ms from now and last an hour.
    pub fn propose(&mut self, friend: FriendId, job: JobId, in_ms: &[i64]) -> Key {
        let (key, offer, received_at) = (Key(self.id()), self.offer(friend, job), self.now);
        let windows =
            in_ms.iter().map(|ms| Window { from: received_at + *ms, to: received_at + (*ms + HOUR) }).collect();
        self.send(Input::Proposed { friend, offer, windows, key, received_at });
        key
    }

    /// The customer agrees to a window of what a friend has proposed.
    pub fn confirm(&mut self, friend: FriendId, job: JobId, window: u8) -> Request {
        let (request, proposal, received_at) = (self.request(), self.offer(friend, job), self.now);
        let profile = self.streets.find(friend).map(|standing| standing.profile);
        let by = Actor::Customer;
        let confirm = Box::new(Confirm { request, by, proposal, window, friend: profile, received_at });
        self.send(Input::Confirmed { job, confirm });
        request
    }

    pub fn friend_writes(&mut self, friend: FriendId, job: JobId, text: &str) -> Key {
        let (key, received_at) = (Key(self.id()), self.now);
        self.send(Input::FriendWrote { friend, job, text: text.to_owned(), key, received_at });
        key
    }

    pub fn customer_writes(&mut self, job: JobId, text: &str) -> Request {
        let (request, received_at) = (self.request(), self.now);
        let (by, key) = (Actor::Customer, None);
        self.send(Input::CustomerWrote { request, by, job, text: text.to_owned(), key, received_at });
        request
    }

    /// Whether a friend's frame with this key was taken.
    pub fn done(&self, key: Key) -> bool {
        self.heard.iter().any(|(_, message)| *message == FriendMessage::Done { key })
    }

    /// With which code a friend's frame with this key was refused.
    pub fn denied(&self, key: Key) -> Option<Code> {
        self.heard.iter().find_map(|(_, message)| match message {
            FriendMessage::Error { key: Some(about), code, .. } if *about == key => Some(*code),
            _ => None,
        })
    }

    /// Takes a decline back.
    pub fn undo(&mut self, friend: FriendId, job: JobId) -> Key {
        let (offer, received_at, key) = (self.offer(friend, job), self.now, Key(self.id()));
        self.send(Input::Undone { friend, offer, key: Some(key), received_at });
        key
    }

    pub fn visit(&mut self, friend: FriendId, job: JobId, event: VisitEvent) -> Key {
        let (key, received_at) = (Key(self.id()), self.now);
        self.send(Input::Visited { friend, job, event, key, at: None, reason: None, received_at });
        key
    }

    // The engine.

    pub fn send(&mut self, input: Input) {
        self.mailbox.push_back(input);
        self.run();
    }

    /// Handles what is in the mailbox, and writes what was decided unless the ledger is held up.
    pub fn run(&mut self) {
        loop {
            while !self.held && self.write_next() {}
            let Some(input) = self.mailbox.pop_front() else { break };
            self.handle(input);
        }
    }

    /// Lets the ledger go on.
    pub fn release(&mut self) {
        self.held = false;
        self.run();
    }

    pub fn handle(&mut self, input: Input) {
        if let Input::Reread { job, .. } = &input {
            let job = *job;
            let dropped: VecDeque<Commit> = {
                let (dropped, kept) = self.queue.drain(..).partition(|commit| commit.subject == Subject::Job(job));
                self.queue = kept;
                dropped
            };
            dropped.into_iter().for_each(|commit| self.excuse(commit));
            self.quarantined.remove(&job);
        }
        let mut effects = Effects::default();
        self.core.handle(input, self.now, &self.streets, &mut effects);
        if let Some(journal) = &mut self.journal {
            use std::fmt::Write;
            let _ = writeln!(journal, "{effects:?}");
        }
        effects.now.into_iter().for_each(|message| self.tell(message));
        self.queue.extend(effects.commits);
    }

    /// Writes the oldest record and tells what waited for it.
    pub fn write_next(&mut self) -> bool {
        let Some(commit) = self.queue.pop_front() else { return false };
        if let Subject::Job(job) = commit.subject {
            if self.quarantined.contains(&job) {
                self.excuse(commit);
                return true;
            }
            if let Some(record) = &commit.record {
                let refused = std::mem::take(&mut self.refuses) || {
                    let taken = self.ledger.write(record).is_err();
                    assert!(!taken || self.refusals > 0, "a friend holds two jobs in one place: {record:?}");
                    taken
                };
                if refused {
                    self.refusals += 1;
                    self.quarantined.insert(job);
                    self.excuse(commit);
                    let stored = self.ledger.job(job).map(Box::new);
                    for joined in self.snapshots_anew() {
                        self.mailbox.push_front(joined);
                    }
                    self.mailbox.push_front(Input::Reread { job, stored });
                    return true;
                }
            }
        } else if let Some(record) = &commit.record {
            self.ledger.write(record).expect("a duty is always written");
        }
        commit.then.into_iter().for_each(|message| self.tell(message));
        true
    }

    /// Snapshots that wait behind a refused record may show what was never written: the inputs that make them anew.
    fn snapshots_anew(&mut self) -> Vec<Input> {
        let waiting = self.queue.iter_mut().flat_map(|commit| {
            commit.then.extract_if(.., |message| matches!(message, Message::Snapshot { .. })).collect::<Vec<_>>()
        });
        let anew = |message| match message {
            Message::Snapshot { friend, session, language, .. } => Some(Input::Joined { friend, session, language }),
            _ => None,
        };
        waiting.filter_map(anew).collect()
    }

    /// What was to be told of a record that was refused is told to nobody; who waits hears to try again.
    fn excuse(&mut self, commit: Commit) {
        for message in commit.then {
            match message {
                Message::Friend { friend, message: FriendMessage::AcceptResult { key, .. } } => {
                    self.verdict(friend, key, Verdict::TryAgain, None);
                }
                Message::Answer { request, .. } => {
                    let answer = Answer::Refused { code: Code::Unavailable, detail: String::new() };
                    self.answers.insert(request, answer);
                }
                Message::LookUp { .. } => self.tell(message),
                _ => {}
            }
        }
    }

    fn verdict(&mut self, friend: FriendId, key: Key, verdict: Verdict, reason: Option<LostReason>) {
        if let Some((holder, _, _)) = self.waiting.remove(&key) {
            assert_eq!(holder, friend, "a verdict goes to who accepted");
        }
        // To be told to try again takes nothing back.
        let has_won = self.verdicts.get(&key).is_some_and(|(verdict, _)| *verdict == Verdict::Won);
        assert!(!has_won || verdict != Verdict::Lost, "told won, and then lost: {reason:?}");
        if !has_won {
            self.verdicts.insert(key, (verdict, reason));
        }
    }

    /// Tells a message, and holds it against what is written.
    fn tell(&mut self, message: Message) {
        match message {
            Message::Friend { friend, message } => self.tell_friend(friend, message),
            Message::Hold { friend, in_hand } => {
                let (_, offer) = self.ledger.offer(in_hand.offer).expect("only a written offer gets into a hand");
                assert_eq!((offer.friend, offer.seat), (friend, in_hand.seat));
                self.hands.insert((friend, in_hand.offer), in_hand);
            }
            Message::Release { friend, offer } => {
                self.hands.remove(&(friend, offer));
            }
            Message::Snapshot { friend, snapshot, hand, .. } => {
                for offer in &snapshot.offers {
                    assert!(
                        self.ledger.offer(offer.offer).is_some(),
                        "a snapshot tells of an offer that is not written"
                    );
                }
                for card in &snapshot.visits {
                    assert!(self.ledger.holds(friend, card.job), "a snapshot tells of a win that is not written");
                }
                self.hands.retain(|(holder, _), _| *holder != friend);
                self.hands.extend(hand.into_iter().map(|in_hand| ((friend, in_hand.offer), in_hand)));
                let offers = snapshot.offers.iter().map(|offer| offer.offer).collect();
                self.snapshots.insert(friend, *snapshot);
                self.acknowledge(friend, offers);
            }
            Message::Duty { friend, duty } => {
                let mut fresh = false;
                self.streets.change(friend, |standing| {
                    fresh = duty.on && !standing.on_duty;
                    standing.on_duty = duty.on;
                });
                if fresh {
                    self.mailbox.push_back(Input::Placed { friend });
                }
            }
            Message::Answer { request, answer } => {
                assert!(self.answers.insert(request, answer).is_none(), "a request is answered once");
            }
            Message::Settle { job, attempt, claim, seat } => {
                assert!(claim.settle(seat), "the winner had the word");
                self.mailbox.push_back(Input::Settled { job, attempt });
            }
            Message::LookUp { friend, offer, key } => match self.ledger.verdict(friend, offer, key) {
                Some((verdict, reason)) => self.verdict(friend, key, verdict, reason),
                None => drop(self.waiting.remove(&key)),
            },
            Message::JobSeen(dot) => assert_private(&dot),
            Message::RaceWon(race) => assert_private(&race),
            Message::Availability { .. } => {}
            Message::Alarm { kind, job, .. } => self.alarms.push((kind, job)),
        }
    }

    fn tell_friend(&mut self, friend: FriendId, message: FriendMessage) {
        match &message {
            FriendMessage::Job(card) => {
                let rows = &self.ledger.jobs[&card.job];
                let done = rows.row.view.state == JobState::Done
                    && rows.visits.values().last().is_some_and(|visit| visit.friend == friend);
                if !done && !self.ledger.holds(friend, card.job) {
                    assert_private(&message);
                }
            }
            _ => assert_private(&message),
        }
        match &message {
            FriendMessage::Offer(offer) => {
                assert!(self.ledger.offer(offer.offer).is_some(), "an offer was told before it was written");
                self.acknowledge(friend, vec![offer.offer]);
            }
            FriendMessage::OfferClosed { offer, reason } => {
                let (_, stored) = self.ledger.offer(*offer).expect("was offered");
                let told = stored.state == OfferState::Closed(*reason) || stored.state == OfferState::Live;
                assert!(told || *reason == ClosedReason::Expired, "told {reason:?}, written {:?}", stored.state);
            }
            FriendMessage::AcceptResult { offer, key, result, reason } => {
                if *result == Verdict::Won {
                    let (rows, _) = self.ledger.offer(*offer).expect("a win is written");
                    let won = rows.visits.values().any(|visit| visit.offer == *offer && visit.friend == friend);
                    assert!(won, "told won before it was written");
                }
                if *reason == Some(LostReason::Taken) {
                    let (rows, _) = self.ledger.offer(*offer).expect("was offered");
                    assert!(!rows.visits.is_empty(), "told taken before the win was written");
                }
                self.verdict(friend, *key, *result, *reason);
            }
            FriendMessage::Error { key: Some(key), .. } => drop(self.waiting.remove(key)),
            _ => {}
        }
        self.heard.push((friend, message));
    }

    fn acknowledge(&mut self, friend: FriendId, offers: Vec<OfferId>) {
        if !self.deaf.contains(&friend) && !offers.is_empty() {
            self.mailbox.push_back(Input::Delivered { friend, offers });
        }
    }

    /// Lets time pass, handling what is due on the way, in order.
    pub fn wait(&mut self, ms: i64) {
        let end = self.now + ms;
        loop {
            self.run();
            match self.core.next_deadline() {
                Some(due) if due <= end => self.now = self.now.max(due),
                Some(_) | None => break,
            }
            self.tick();
        }
        self.now = end;
    }

    /// Handles all that is due now; it must come to an end.
    pub fn tick(&mut self) {
        for _ in 0..400 {
            if self.core.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.handle(Input::Tick);
            if !self.held {
                self.run();
            }
        }
        panic!("time stands still: what is due does not move");
    }

    /// The process ends and starts again. What is queued but not written is lost, and so are hands and mailbox.
    pub fn crash(&mut self) {
        self.mailbox.clear();
        self.queue.clear();
        self.quarantined.clear();
        self.hands.clear();
        self.starts += 1;
        self.core = Dispatcher::restore(self.ledger.stored(), self.starts, self.pace, self.now);
    }

    /// Everything stands still for so long, and goes on.
    pub fn sleeps(&mut self, ms: i64) {
        self.now = self.now + ms;
        self.handle(Input::Woken);
        self.run();
    }

    // What stands.

    pub fn state(&self, job: JobId) -> JobState {
        let written = &self.ledger.jobs[&job].row.view.state;
        self.core.job(job).map_or(*written, |job| job.state)
    }

    pub fn job(&self, job: JobId) -> &Job {
        self.core.job(job).expect("is open")
    }

    /// Who has a live offer, in the order in which they were asked.
    pub fn asked(&self, job: JobId) -> Vec<FriendId> {
        self.core.job(job).map(|job| job.live_offers().map(|offer| offer.friend).collect()).unwrap_or_default()
    }

    pub fn verdict_on(&self, key: Key) -> Option<(Verdict, Option<LostReason>)> {
        self.verdicts.get(&key).copied()
    }

    pub fn won(&self, key: Key) -> bool {
        self.verdict_on(key) == Some((Verdict::Won, None))
    }

    pub fn lost(&self, key: Key) -> Option<LostReason> {
        self.verdict_on(key).filter(|(verdict, _)| *verdict == Verdict::Lost).and_then(|(_, reason)| reason)
    }

    pub fn kinds(&self, job: JobId) -> Vec<&'static str> {
        self.ledger.jobs[&job].events.iter().map(|event| event.kind).collect()
    }

    pub fn hears(&self, friend: FriendId) -> impl Iterator<Item = &FriendMessage> {
        self.heard.iter().filter(move |(listener, _)| *listener == friend).map(|(_, message)| message)
    }

    pub fn over(&self, job: JobId) -> bool {
        is_final(self.state(job))
    }
}

pub fn north(metres: u32) -> Point {
    Point::new(DOOR.0 + f64::from(metres) / DEGREE_M, DOOR.1).expect("on the earth")
}

fn assert_private(message: &impl serde::Serialize) {
    let text = serde_json::to_string(message).expect("it goes over the wire");
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
    assert!(!text.contains("5550199"), "a phone number in {text}");
}
