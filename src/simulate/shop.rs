//! The partners: they post jobs round the clock of their customers, ask again when an answer is missing, change their
//! minds, and now and then use a key twice. What a customer wants is drawn by the job's number, so that it is the same
//! under every policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiez_protocol::audit::AuditRole;
use kiez_protocol::ids::{JobId, Key, OfferId, PartnerSlug};
use kiez_protocol::partner::{Answer as Given, Answers, EditJob, Urgency, Window};
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Reply;
use kiez_protocol::time::Time;
use serde_json::json;
use uuid::Uuid;

use super::calendar::of_day;
use super::chance::Chance;
use super::city::{City, moved};
use super::house::{Asker, House};
use super::model::Checked;
use super::people::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::streets::{FriendNo, friend_id, friend_no};
use super::world::{Event, World};
use crate::dispatch::effect::{Actor, Answer, By};
use crate::dispatch::input::{Confirm, Input, PartnerKey};
use crate::dispatch::job::{Booking, Direct, Pause};

/// How likely a job is posted in each hour of the day, against the others.
const HOURS: [f64; 24] = [
    0.3, 0.2, 0.1, 0.1, 0.1, 0.2, 0.6, 1.5, 3.5, 6.0, 7.5, 7.0, 6.0, 6.0, 6.5, 7.0, 7.5, 8.0, 7.0, 5.5, 4.0, 2.5, 1.2,
    0.6,
];
/// Without an answer a request is sent again after this, ms.
const AGAIN_MS: i64 = 10_000;
const AGAIN_LAST_MS: i64 = 60_000;

/// A street that only the winner may see.
pub(crate) fn street(number: u32) -> String {
    format!("Kanarigasse {number}")
}

/// What a customer wants, and what became of it.
#[derive(Debug)]
struct Draft {
    offering: usize,
    /// Done from afar, and not at the customer's.
    remote: bool,
    booking: Arc<Booking>,
    key: Option<PartnerKey>,
    job: Option<JobId>,
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Ask {
    draft: u32,
    what: What,
    tries: u32,
    since: Time,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Post,
    /// The same key with another body.
    PostOther,
    Edit(Box<EditJob>),
    /// The customer says more.
    Answer(Answers),
    /// The customer replies to a question, agrees to a proposal, writes to the friend.
    Reply(Reply),
    Confirm(OfferId, u8),
    Write(&'static str, Uuid),
    /// Ops hold it, and let it go on.
    Pause,
    Resume,
    /// They give it to somebody, or have friends asked anew.
    Assign(FriendNo),
    Redispatch,
    Cancel,
}

#[derive(Debug, Default)]
pub(crate) struct Shop {
    drafts: Vec<Draft>,
    asks: BTreeMap<u64, Ask>,
    numbered: u64,
}

impl Shop {
    /// Requests without an answer that were first sent before `since`.
    pub fn waiting(&self, since: Time) -> usize {
        self.asks.values().filter(|ask| ask.since < since).count()
    }
}

impl World {
    /// Plans the next job after one at `after`.
    pub(crate) fn plan_demand(&mut self) {
        let a_day = self.setting.jobs_per_day;
        let most = HOURS.iter().fold(0.0_f64, |most, weight| most.max(*weight));
        let share: f64 = HOURS.iter().sum();
        let mut at = self.now;
        // Thinned: as often as in the busiest hour, and kept as often as the hour is busy.
        loop {
            at = at + self.demand.wait_ms(DAY_MS as f64 * share / (a_day * most * 24.0)).max(1);
            let hour = usize::try_from(of_day(at) / HOUR_MS).expect("0 to 23");
            if self.demand.happens(HOURS[hour] / most) {
                break;
            }
        }
        if at < self.ends {
            self.plan_at(at, Event::Demand);
        }
    }

    /// A customer wants something.
    pub(crate) fn demand(&mut self) {
        let number = u32::try_from(self.shop.drafts.len()).expect("far fewer jobs");
        let mut chance = Chance::of(self.setting.seed, "draft", number.into());
        let draft = self.draft(number, &mut chance);
        let complete = !draft.booking.answers.is_empty();
        self.shop.drafts.push(draft);
        self.ask_anew(number, What::Post);
        if chance.happens(0.02) {
            self.ask_anew(number, What::Post);
        }
        let mut later = |what: What, median_ms: i64| {
            let wait = chance.span_ms(median_ms, 1.0).clamp(1_000, 3 * DAY_MS);
            (wait, number, what)
        };
        let mut plans = Vec::new();
        let mood = Chance::of(self.setting.seed, "change of mind", number.into()).unit();
        if !complete && mood < 0.85 {
            let answers = answers("Fritz!Box 7590");
            let what = if mood < 0.4 { What::Answer(answers) } else { edit(answers) };
            plans.push(later(what, HOUR_MS));
        }
        match mood {
            0.0..0.05 => plans.push(later(What::Cancel, 90 * MINUTE_MS)),
            0.05..0.08 => plans.push(later(What::Cancel, 20_000)),
            0.08..0.11 => {
                plans.push(later(edit(answers("Speedport, Kanari@example.org")), 40 * MINUTE_MS));
            }
            0.11..0.13 => plans.push(later(What::Edit(Box::new(self.moves(number))), 20 * MINUTE_MS)),
            0.13..0.15 => plans.push(later(What::Edit(Box::new(self.other_windows())), 30 * MINUTE_MS)),
            0.15..0.17 => plans.push(later(What::Edit(Box::new(self.other_phone(number))), 50 * MINUTE_MS)),
            0.17..0.18 => plans.push(later(What::PostOther, 5 * MINUTE_MS)),
            // Twice at once: an edit meets an accept.
            0.18..0.19 => {
                plans.push(later(edit(answers("EasyBox")), 15_000));
                plans.push(later(What::Cancel, 16_000));
            }
            0.19..0.20 => plans.push(later(What::Answer(answers("Speedport Smart 4")), 10 * MINUTE_MS)),
            0.20..0.21 => {
                plans.push(later(What::Pause, 15 * MINUTE_MS));
                plans.push(later(What::Resume, HOUR_MS));
            }
            _ => {}
        }
        for (wait, draft, what) in plans {
            self.plan(wait, Event::Asks(draft, what));
        }
        self.plan_demand();
    }

    /// A job waits for its customer, or for ops: they may do what it waits for.
    pub(crate) fn called_on(&mut self, job: JobId, kind: &str, waits_for: Option<Pause>) {
        let draft = self.job_no(job);
        if draft as usize >= self.shop.drafts.len() {
            return;
        }
        let mut chance = Chance::of(self.setting.seed, "called on", u64::from(draft));
        let (what, wait) = match (kind, waits_for) {
            ("paused", Some(Pause::Vague)) if chance.happens(0.8) => {
                (What::Answer(answers("Fritz!Box 7590, blinkt rot")), chance.span_ms(40 * MINUTE_MS, 1.0))
            }
            ("alarm", Some(_)) => (What::Resume, chance.span_ms(20 * MINUTE_MS, 1.0)),
            ("reminder", _) if chance.happens(0.4) => {
                (What::Answer(answers("Fritz!Box 7530")), chance.span_ms(HOUR_MS, 1.0))
            }
            (_, _) => return,
        };
        self.plan(wait.clamp(1_000, 2 * DAY_MS), Event::Asks(draft, what));
    }

    /// Nobody has taken it, and ops look.
    pub(crate) fn ops_look(&mut self, job: JobId) {
        let draft = self.job_no(job);
        let mut chance = Chance::of(self.setting.seed, "ops", u64::from(draft));
        if draft as usize >= self.shop.drafts.len() || !chance.happens(self.faults().ops_share) {
            return;
        }
        let assigns = chance.happens(0.6);
        let what = if assigns { What::Assign(chance.below(self.people.len())) } else { What::Redispatch };
        let wait = chance.span_ms(10 * MINUTE_MS, 1.0).clamp(1_000, DAY_MS);
        self.plan(wait, Event::Asks(draft, what));
    }

    fn draft(&self, number: u32, chance: &mut Chance) -> Draft {
        let offering = chance.weighted(self.documents.offerings.iter().map(|offering| offering.weight));
        let mut other = Chance::of(self.setting.seed, "special wish", number.into());
        let talk = self.faults().talk;
        let remote = other.happens(0.05 * talk);
        let named = other.happens(0.08 * talk);
        let (place, area) = self.map.door(chance);
        let swiss = self.setting.city == City::Sparse;
        let urgency =
            chance.pick(&[Urgency::Urgent, Urgency::Normal, Urgency::Normal, Urgency::Normal, Urgency::Relaxed]);
        let now = self.now;
        let window = |from: i64, hours: i64| vec![Window { from: now + from, to: now + from + hours * HOUR_MS }];
        let windows = match urgency {
            Urgency::Urgent if chance.happens(0.6) => window(0, 3 + chance.below(4) as i64),
            Urgency::Normal if chance.happens(0.5) => window(DAY_MS, 4),
            Urgency::Relaxed => window(4 * DAY_MS, 8),
            Urgency::Urgent | Urgency::Normal => Vec::new(),
        };
        let language =
            chance.pick(if swiss { &["de", "de", "de", "it", "fr"] } else { &["de", "de", "de", "de", "en"] });
        let payment = chance.pick(&["card_online", "invoice", "cash", "card_on_site", "paypal"]);
        let currency = if swiss { "CHF" } else { "EUR" };
        let rate = chance.happens(0.3).then(|| json!({"amount": 100 * (16 + chance.below(20)), "currency": currency}));
        let device = if chance.happens(0.5) { "Fritz!Box 7590" } else { "Router, ruf an: +49 30 5550199" };
        let answers =
            if chance.happens(0.07) { json!({}) } else { json!({"device": device, "note": "Kanari unter der Matte"}) };
        let booking: Booking = serde_json::from_value(json!({
            "place": place,
            "address": {"street": street(number), "postcode": area.postcode, "city": area.name,
                        "country": self.setting.city.country()},
            "customer": {"name": format!("Ada Kanari {number}"), "phone": format!("+4930555019900{number}"),
                         "email": format!("Kanari{number}@example.org"), "language": language},
            "answers": answers, "windows": windows, "urgency": urgency, "payment_method": payment,
            "max_hourly_rate": rate, "partner_ref": format!("D-{number}"),
        }))
        .expect("a booking");
        let mut body = [0; 32];
        body[..4].copy_from_slice(&number.to_be_bytes());
        let key = (!chance.happens(0.08)).then(|| PartnerKey { key: format!("K-{number}"), body });
        let mut booking = booking;
        booking.direct = named.then(|| self.named_for(booking.place, &mut other));
        Draft { offering, remote, booking: Arc::new(booking), key, job: None }
    }

    /// Somebody whom the customer asks for by name: as a rule not from the other end of the city.
    fn named_for(&self, place: Point, chance: &mut Chance) -> Direct {
        let known: Vec<FriendNo> = (0..6).map(|_| chance.below(self.people.len())).collect();
        let distance_m = |friend: &FriendNo| self.people[*friend].home.distance_m(place);
        let nearest = known.into_iter().min_by(|a, b| distance_m(a).total_cmp(&distance_m(b)));
        Direct { friend: friend_id(nearest.expect("six are known")), fallback: chance.happens(0.6) }
    }

    /// Whether a number is that of a customer.
    pub(crate) fn has_draft(&self, number: u32) -> bool {
        (number as usize) < self.shop.drafts.len()
    }

    fn moves(&self, number: u32) -> EditJob {
        let booking = &self.shop.drafts[number as usize].booking;
        let mut address = booking.address.clone();
        address.street = street(number + 1);
        let location = Some(moved(booking.place, 700.0, f64::from(number)));
        EditJob { location, address: Some(address), ..EditJob::default() }
    }

    fn other_windows(&self) -> EditJob {
        let from = self.now + 5 * HOUR_MS;
        EditJob { windows: Some(vec![Window { from, to: from + 6 * HOUR_MS }]), ..EditJob::default() }
    }

    fn other_phone(&self, number: u32) -> EditJob {
        let mut customer = self.shop.drafts[number as usize].booking.customer.clone();
        customer.phone = format!("+4930555019901{number}");
        EditJob { customer: Some(customer), ..EditJob::default() }
    }

    /// A new request about a draft.
    pub(crate) fn ask_anew(&mut self, draft: u32, what: What) {
        // Who does not know the job's id has nothing to change.
        let known = matches!(what, What::Post | What::PostOther) || self.shop.drafts[draft as usize].job.is_some();
        if !known {
            return;
        }
        self.shop.numbered += 1;
        let ask = self.shop.numbered;
        self.shop.asks.insert(ask, Ask { draft, what, tries: 0, since: self.now });
        self.ask_again(ask);
    }

    /// A request is sent, perhaps not for the first time.
    pub(crate) fn ask_again(&mut self, number: u64) {
        let Some(ask) = self.shop.asks.get_mut(&number) else { return };
        ask.tries += 1;
        let tries = ask.tries;
        let keyed = !matches!(ask.what, What::Post) || self.shop.drafts[ask.draft as usize].key.is_some();
        if tries > 1 {
            if !keyed {
                // Whether it was posted cannot be known, and twice would be worse than never.
                self.shop.asks.remove(&number);
                return;
            }
            self.count.partner_repeats += 1;
        }
        let wait = (AGAIN_MS << tries.min(4)).min(AGAIN_LAST_MS);
        self.plan(wait, Event::AsksAgain(number, tries));
        if self.net.happens(self.faults().lost_request_share / 2.0) {
            self.count.requests_lost += 1;
            return;
        }
        let ms = self.net.span_ms(25, 0.6).max(1);
        self.plan(ms, Event::Request(number));
    }

    pub(crate) fn is_latest(&self, number: u64, tries: u32) -> bool {
        self.shop.asks.get(&number).is_some_and(|ask| ask.tries == tries)
    }

    /// A request arrives at the server, if there is one.
    pub(crate) fn request(&mut self, number: u64) -> Checked {
        let Some(house) = self.current.filter(|house| self.houses.get(house).is_some_and(House::takes_in)) else {
            return Ok(());
        };
        let Some(ask) = self.shop.asks.get(&number).cloned() else { return Ok(()) };
        self.with_house(house, |world, house| {
            let draft = &world.shop.drafts[ask.draft as usize];
            let documents = &world.documents;
            let offering = if draft.remote { &documents.remote } else { &documents.offerings[draft.offering] };
            let (partner, received_at): (PartnerSlug, Time) = (offering.partner.clone(), world.now);
            world.requests += 1;
            // Who posts without a key may have two jobs of one wish: a proposal is agreed to where it was made.
            let about = match &ask.what {
                What::Confirm(proposal, _) => world.model.committed.job_of(*proposal),
                _ => None,
            };
            let (request, job) = (world.requests, about.or(draft.job));
            let theirs = || Actor::Partner(partner.clone());
            let ops = || Actor::Ops(By { actor: "kim".to_owned(), role: AuditRole::Dispatcher, at: received_at });
            let input = match (&ask.what, job) {
                (What::Post | What::PostOther, _) => {
                    let mut key = draft.key.clone();
                    if let (What::PostOther, Some(key)) = (&ask.what, &mut key) {
                        key.body[31] = 1;
                    }
                    let (booking, terms) = (Arc::clone(&draft.booking), offering.terms.clone());
                    let (by, reason, partner) = (theirs(), None, partner.clone());
                    Input::Posted { request, partner, by, reason, key, booking, terms, received_at }
                }
                (What::Edit(edit), Some(job)) => {
                    Input::Edited { request, by: theirs(), job, edit: edit.clone(), received_at }
                }
                (What::Answer(answers), Some(job)) => {
                    let by = if number.is_multiple_of(2) { Actor::Customer } else { theirs() };
                    Input::Answered { request, by, job, answers: answers.clone(), replies: Vec::new(), received_at }
                }
                (What::Reply(reply), Some(job)) => {
                    let (by, answers, replies) = (Actor::Customer, Answers::new(), vec![reply.clone()]);
                    Input::Answered { request, by, job, answers, replies, received_at }
                }
                (What::Confirm(proposal, window), Some(job)) => {
                    let (proposal, window, by) = (*proposal, *window, Actor::Customer);
                    let proposer = world.model.committed.page_of(proposal).and_then(|page| page.offer(proposal));
                    let friend = proposer.map(|asked| &world.people[friend_no(asked.offer.friend)].profile);
                    let friend = friend.map(Arc::clone);
                    let confirm = Box::new(Confirm { request, by, proposal, window, friend, received_at });
                    Input::Confirmed { job, confirm }
                }
                (What::Write(text, key), Some(job)) => {
                    let (by, text, key) = (Actor::Customer, (*text).to_owned(), Some(Key(*key)));
                    Input::CustomerWrote { request, by, job, text, key, received_at }
                }
                (What::Pause, Some(job)) => {
                    Input::Paused { request, by: ops(), job, reason: "the customer is ill".to_owned(), received_at }
                }
                (What::Resume, Some(job)) => {
                    Input::Resumed { request, by: ops(), job, reason: "the customer is well".to_owned(), received_at }
                }
                (What::Cancel, Some(job)) => {
                    let reason = Some("the customer has changed their mind".to_owned());
                    let by = if number.is_multiple_of(3) { Actor::Customer } else { theirs() };
                    Input::Cancelled { request, by, job, reason, received_at }
                }
                (What::Assign(friend), Some(job)) => {
                    let (friend, reason) = (Arc::clone(&world.people[*friend].profile), "on the phone".to_owned());
                    Input::Assigned { request, by: ops(), job, friend, reason, received_at }
                }
                (What::Redispatch, Some(job)) => {
                    Input::Redispatched { request, by: ops(), job, reason: "once more".to_owned(), received_at }
                }
                (_, None) => return Ok(()),
            };
            if !house.admits(&input, world.now) {
                world.count.overloaded += 1;
                world.unavailable(number);
                return Ok(());
            }
            let job = job.filter(|_| !matches!(ask.what, What::Post | What::PostOther));
            house.askers.insert(request, Asker { ask: number, partner, job });
            if world.put(house, input).is_err() {
                house.askers.remove(&request);
                world.unavailable(number);
            }
            Ok(())
        })
    }

    fn unavailable(&mut self, ask: u64) {
        self.reply(ask, Answer::Refused { code: Code::Unavailable, detail: String::new() });
    }

    /// The server answers.
    pub(crate) fn reply(&mut self, ask: u64, answer: Answer) {
        if self.net.happens(self.faults().lost_request_share / 2.0) {
            self.count.requests_lost += 1;
            return;
        }
        let ms = self.net.span_ms(25, 0.6).max(1);
        self.plan(ms, Event::Reply(ask, Box::new(answer)));
    }

    /// An answer arrives at the partner.
    pub(crate) fn replied(&mut self, number: u64, answer: Answer) {
        let Some(ask) = self.shop.asks.get(&number) else { return };
        let draft = &mut self.shop.drafts[ask.draft as usize];
        match answer {
            Answer::Posted(view) => draft.job = draft.job.or(Some(view.id)),
            Answer::Repeated { job } => draft.job = draft.job.or(Some(job)),
            // Comes again by itself.
            Answer::Refused { code: Code::Unavailable, .. } => return,
            Answer::Job(_) | Answer::Refused { .. } | Answer::WrongState { .. } | Answer::Tried(_) => {}
        }
        self.shop.asks.remove(&number);
    }
}

fn answers(device: &str) -> Answers {
    BTreeMap::from([
        ("device".parse().expect("a word"), Given::Text(device.to_owned())),
        ("note".parse().expect("a word"), Given::Text("Kanari am Fenster".to_owned())),
    ])
}

fn edit(answers: Answers) -> What {
    What::Edit(Box::new(EditJob { answers: Some(answers), ..EditJob::default() }))
}
