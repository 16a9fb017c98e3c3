//! What ops do to jobs by hand, and who goes first when they do it while friends say yes.

use std::sync::Arc;

use kiez::dispatch::edges::{Deed, Role};
use kiez::dispatch::effect::Answer;
use kiez::dispatch::input::{Input, Request};
use kiez::dispatch::job::OfferState;
use kiez::dispatch::nearest::Nearby;
use kiez_protocol::friend::{ClosedReason, FriendMessage, LostReason, VisitEvent, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::profile::{Account, Cap, Period};
use kiez_protocol::refusal::Code;
use uuid::Uuid;

use super::town::{HOUR, MINUTE, SECOND, Town, ops};

const WHY: &str = "the customer rang";

impl Town {
    fn steer(&mut self, job: JobId, deed: Deed) -> Request {
        let (request, by, received_at) = (self.request(), ops(), self.now);
        let reason = WHY.to_owned();
        self.send(match deed {
            Deed::Pause => Input::Paused { request, by, job, reason, received_at },
            Deed::Resume => Input::Resumed { request, by, job, reason, received_at },
            Deed::Redispatch => Input::Redispatched { request, by, job, reason, received_at },
            Deed::Cancel => Input::Cancelled { request, by, job, reason: Some(reason), received_at },
            Deed::Edit | Deed::Answer | Deed::Assign => panic!("takes more than a reason"),
        });
        request
    }

    fn assign(&mut self, job: JobId, friend: FriendId) -> Request {
        let friend = self.streets.find(friend).expect("lives here").profile;
        let (request, by, received_at) = (self.request(), ops(), self.now);
        let reason = WHY.to_owned();
        self.send(Input::Assigned { request, by, job, friend, reason, received_at });
        request
    }

    fn steered(&self, request: Request) -> bool {
        matches!(self.answers.get(&request), Some(Answer::Job(_)))
    }

    /// The state and the actions that a refusal names.
    fn hindered(&self, request: Request) -> Option<(JobState, String)> {
        match self.answers.get(&request) {
            Some(Answer::WrongState { state, allowed }) => Some((*state, allowed.join(" "))),
            Some(_) | None => None,
        }
    }

    fn closed(&self, friend: FriendId, job: JobId) -> Option<ClosedReason> {
        match self.ledger.jobs[&job].offers[&self.offer(friend, job)].state {
            OfferState::Closed(reason) => Some(reason),
            OfferState::Live => None,
        }
    }

    /// Time passes until nobody is left to ask.
    fn until_unfilled(&mut self, job: JobId) {
        for _ in 0..600 {
            if self.state(job) == JobState::Unfilled {
                return;
            }
            self.wait(MINUTE);
        }
        panic!("not unfilled within ten hours");
    }
}

#[test]
fn pause_takes_the_offers_back_and_asks_nobody_until_it_is_resumed() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400]);
    let job = town.post();
    assert_eq!(town.asked(job), friends);
    let request = town.steer(job, Deed::Pause);
    assert!(town.steered(request));
    assert_eq!((town.state(job), town.asked(job)), (JobState::Paused, vec![]));
    for friend in friends {
        let told = |message: &&FriendMessage| matches!(message, FriendMessage::OfferClosed { reason, .. } if *reason == ClosedReason::Paused);
        assert_eq!(
            (town.closed(friend, job), town.hears(friend).filter(told).count()),
            (Some(ClosedReason::Paused), 1)
        );
    }
    let late = town.accept(friends[0], job);
    assert_eq!(town.lost(late), Some(LostReason::Paused));
    let newcomer = town.friend(50);
    town.arrives(newcomer, 50);
    town.wait(12 * HOUR);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Paused, vec![]), "whoever comes, and however long");

    let event = town.ledger.jobs[&job].events.iter().find(|event| event.kind == "paused").expect("is an event").clone();
    assert_eq!((event.actor, event.reason.as_deref()), (ops(), Some(WHY)));
    let shown = town.ledger.jobs[&job].row.view.reason.clone();
    assert_eq!(shown.as_deref(), Some("held_by_ops"), "what ops write is for ops");

    town.steer(job, Deed::Resume);
    assert_eq!((town.state(job), town.job(job).attempt), (JobState::Dispatching, 2));
    assert_eq!(town.asked(job), [newcomer, friends[0], friends[1], friends[2]], "those who were asked are asked again");
    let yes = town.accept(friends[1], job);
    assert!(town.won(yes));
}

#[test]
fn a_held_job_is_an_alarm_each_day_and_never_expires_by_itself() {
    let mut town = Town::new();
    town.friend(100);
    let job = town.post();
    town.steer(job, Deed::Pause);
    town.wait(23 * HOUR);
    assert_eq!(town.alarms, []);
    town.wait(100 * HOUR);
    assert_eq!(town.alarms, [(AlarmKind::Paused, job); 5]);
    town.steer(job, Deed::Resume);
    assert_eq!(town.state(job), JobState::Dispatching, "with a round of waves before it expires");
    assert!(town.job(job).expire_at > town.now + 30 * MINUTE);
}

#[test]
fn a_held_job_is_held_after_a_restart() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.steer(job, Deed::Pause);
    town.crash();
    town.wait(MINUTE);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Paused, vec![]));
    let hindered = town.steer(job, Deed::Pause);
    let may = "edit answers resume assign cancel".to_owned();
    assert_eq!(town.hindered(hindered), Some((JobState::Paused, may)));
    town.steer(job, Deed::Resume);
    assert_eq!(town.asked(job), [anna, ben]);
    town.crash();
    town.join(anna);
    let yes = town.accept(anna, job);
    assert!(town.won(yes));
}

#[test]
fn who_has_said_yes_goes_before_a_pause() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let key = Key(town.id());
    // Her session has the word, and her accept is on its way.
    let accept = town.take_word(anna, job, key).expect("on its way");
    let pause = town.steer(job, Deed::Pause);
    assert_eq!(town.answers.get(&pause), None, "set aside");
    town.deliver(accept);
    assert!(town.won(key));
    assert_eq!(town.hindered(pause), Some((JobState::Assigned, "edit answers cancel".to_owned())));
}

#[test]
fn a_yes_that_does_not_count_gives_way_to_the_pause() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let (one, two) = (town.post(), town.post());
    let key = Key(town.id());
    let second = town.take_word(anna, two, key).expect("on its way");
    let first = town.accept(anna, one);
    assert!(town.won(first));
    let pause = town.steer(two, Deed::Pause);
    town.deliver(second);
    assert_eq!(town.lost(key), Some(LostReason::Capacity));
    assert!(town.steered(pause));
    assert_eq!(town.state(two), JobState::Paused);
}

#[test]
fn a_record_that_is_refused_leaves_the_job_as_it_was() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.refuses = true;
    let pause = town.steer(job, Deed::Pause);
    assert_eq!(town.refused(pause), Some(Code::Unavailable));
    assert_eq!((town.state(job), town.asked(job)), (JobState::Dispatching, vec![anna]));
    let yes = town.accept(anna, job);
    assert!(town.won(yes), "her offer has a new word");
}

#[test]
fn assign_overrides_gates_and_closes_the_others() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    // Off duty, of another community, with another language, 40 km away.
    let far = town.friend_with(40_000, |friend| {
        friend.communities = vec!["zuerich-tech".parse().expect("a slug")];
        friend.languages = vec![kiez_protocol::directory::Language::Fr];
    });
    town.streets.change(far, |standing| standing.on_duty = false);
    let job = town.post();
    let request = town.assign(job, far);
    assert!(town.steered(request));
    assert_eq!(town.state(job), JobState::Assigned);
    assert!(town.ledger.holds(far, job));
    assert!(town.hears(far).any(|message| matches!(message, FriendMessage::Job(card) if card.address.is_some())));
    for friend in [anna, ben] {
        assert_eq!(town.closed(friend, job), Some(ClosedReason::Taken));
    }
    let offer = town.ledger.jobs[&job].offers[&town.offer(far, job)].clone();
    assert_eq!((offer.why, offer.distance_m), (WhyReason::Assigned, 40_000));
    let event = town.ledger.jobs[&job].events.last().expect("an event").clone();
    assert_eq!((event.kind, event.actor, event.reason.as_deref()), ("assigned_by_ops", ops(), Some(WHY)));
    let late = town.accept(anna, job);
    assert_eq!(town.lost(late), Some(LostReason::Taken));

    town.crash();
    assert!(town.ledger.holds(far, job));
    town.visit(far, job, VisitEvent::HandBack);
    assert_eq!(town.state(job), JobState::Dispatching, "they may hand it back");
    let again = town.assign(job, far);
    assert_eq!(town.refused(again), Some(Code::NotSuitable), "and do not get it again");
}

#[test]
fn assign_to_who_holds_an_offer_or_let_one_run_out() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let offer = town.offer(anna, job);
    town.assign(job, anna);
    assert_eq!((town.state(job), town.offer(anna, job)), (JobState::Assigned, offer), "the offer they had");
    assert_eq!(town.closed(ben, job), Some(ClosedReason::Taken));
    let won = |message: &FriendMessage| matches!(message, FriendMessage::OfferClosed { offer: closed, reason: ClosedReason::Won } if *closed == offer);
    assert!(town.hears(anna).any(won), "found by the simulator: her app would show it as open for ever");
    let yes = town.accept(anna, job);
    assert!(town.won(yes), "another key from the seat that won hears so");

    town.community.policy.normal.offer_valid_ms = MINUTE;
    let second = town.post();
    town.wait(2 * MINUTE);
    assert_eq!(town.closed(ben, second), Some(ClosedReason::Expired));
    town.assign(second, ben);
    assert_eq!((town.state(second), town.closed(ben, second)), (JobState::Assigned, Some(ClosedReason::Won)));
}

#[test]
fn assign_from_paused_and_unfilled() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let held = town.post();
    town.steer(held, Deed::Pause);
    let request = town.assign(held, anna);
    assert!(town.steered(request));
    assert_eq!((town.state(held), town.job(held).attempt), (JobState::Assigned, 2));
    town.crash();
    town.visit(anna, held, VisitEvent::Contacted);
    assert_eq!(town.state(held), JobState::Contacted);

    town.wait(MINUTE);
    let stranger = town.friend_with(200, |friend| friend.communities.clear());
    let job = town.post_with(|booking| booking.urgency = kiez_protocol::partner::Urgency::Urgent);
    town.streets.change(anna, |standing| standing.reachable = false);
    town.until_unfilled(job);
    assert_eq!(town.asked(job), [anna], "her offer is renewed");
    town.assign(job, stranger);
    assert_eq!(town.state(job), JobState::Assigned);
    assert_eq!(town.closed(anna, job), Some(ClosedReason::Taken));
}

#[test]
fn assign_stands_behind_who_has_the_word() {
    let mut town = Town::new();
    let [anna, ben, carla] = town.friends([100, 200, 300]);
    let job = town.post();
    let (a, b) = (Key(town.id()), Key(town.id()));
    let accept = town.take_word(anna, job, a).expect("on its way");
    let behind = town.take_word(ben, job, b).expect("on its way");
    let assign = town.assign(job, carla);
    town.deliver(accept);
    assert!(town.won(a));
    assert_eq!(town.hindered(assign).map(|(state, _)| state), Some(JobState::Assigned));
    town.deliver(behind);
    assert_eq!(town.lost(b), Some(LostReason::Taken));
}

#[test]
fn an_accept_stands_behind_an_assignment_that_is_being_written() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.held = true;
    let request = town.assign(job, ben);
    let key = town.accept(anna, job);
    assert_eq!((town.answers.get(&request), town.verdict_on(key)), (None, None), "told means recorded");
    town.release();
    assert!(town.steered(request));
    assert_eq!(town.lost(key), Some(LostReason::Taken));

    // And when it is never written, she is tried.
    let job = town.post();
    town.held = true;
    town.refuses = true;
    let request = town.assign(job, ben);
    let key = town.accept(anna, job);
    town.release();
    assert_eq!(town.refused(request), Some(Code::Unavailable));
    assert!(town.won(key));
}

#[test]
fn assign_needs_a_place_and_keeps_to_the_friends_own_caps() {
    let mut town = Town::new();
    let full = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let one = town.post();
    let yes = town.accept(full, one);
    assert!(town.won(yes));
    let cap = Cap { period: Period::Year, jobs: Some(0), income: None };
    let capped = town.friend_with(9_000, |friend| friend.caps = vec![cap]);
    let gone = town.friend_with(9_000, |friend| friend.account = Account::Left);
    let no = town.friend(300);
    let job = town.post();
    town.decline(no, job);
    for friend in [full, capped, gone, no] {
        let request = town.assign(job, friend);
        assert_eq!((town.refused(request), town.state(job)), (Some(Code::NotSuitable), JobState::Dispatching));
    }
    let other = town.friend(400);
    town.arrives(other, 400);
    let yes = town.accept(other, job);
    assert!(town.won(yes), "the word was left to others");
}

#[test]
fn redispatch_of_an_unfilled_job_is_a_new_attempt_from_the_nearest_on() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.decline(ben, job);
    town.until_unfilled(job);
    assert_eq!(town.asked(job), [anna], "renewed");
    let old = town.offer(anna, job);
    let carla = town.friend(50);
    let request = town.steer(job, Deed::Redispatch);
    assert!(town.steered(request));
    assert_eq!((town.state(job), town.job(job).attempt), (JobState::Dispatching, 2));
    assert_eq!(town.asked(job), [carla, anna], "but not who declined");
    assert_eq!(town.ledger.jobs[&job].offers[&old].state, OfferState::Closed(ClosedReason::Superseded));
    assert_ne!(town.offer(anna, job), old);
    town.crash();
    town.join(anna);
    let yes = town.accept(anna, job);
    assert!(town.won(yes));
    assert!(!town.kinds(job).contains(&"handed_back"));
}

#[test]
fn a_late_yes_to_an_unfilled_job_goes_before_a_redispatch() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.until_unfilled(job);
    let key = Key(town.id());
    let accept = town.take_word(anna, job, key).expect("on its way");
    let request = town.steer(job, Deed::Redispatch);
    town.deliver(accept);
    assert!(town.won(key));
    assert_eq!(town.hindered(request).map(|(state, _)| state), Some(JobState::Assigned));

    // A yes to an offer that was taken back hears that another may stand in its place.
    let job = town.post();
    town.until_unfilled(job);
    let offer = town.offer(anna, job);
    let revision = town.job(job).revision;
    town.held = true;
    town.steer(job, Deed::Redispatch);
    let key = Key(town.id());
    let accept = town.take_word_of(anna, offer, revision, key).expect("the old word is in her hand");
    town.deliver(accept);
    town.release();
    assert_eq!(town.lost(key), Some(LostReason::Superseded));
}

#[test]
fn redispatch_of_an_unsuccessful_job() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let yes = town.accept(anna, job);
    assert!(town.won(yes));
    town.visit(anna, job, VisitEvent::Contacted);
    // As the ledger would have it after a visit without success.
    let rows = town.ledger.jobs.get_mut(&job).expect("is written");
    rows.row.view.state = JobState::Unsuccessful;
    rows.events.last_mut().expect("has events").to = JobState::Unsuccessful;
    rows.row.next_deadline = Some(town.now + 72 * HOUR);
    rows.row.progress.state_due = rows.row.next_deadline;
    let visit = rows.visits.get_mut(&1).expect("was won");
    visit.active = false;
    visit.ended = Some(kiez::dispatch::job::Ended { at: town.now, how: kiez::dispatch::job::VisitEnd::Cancelled });
    town.crash();
    town.wait(20 * SECOND);
    assert_eq!(town.state(job), JobState::Unsuccessful);
    let hindered = town.steer(job, Deed::Pause);
    assert_eq!(town.hindered(hindered), Some((JobState::Unsuccessful, "redispatch".to_owned())));
    town.steer(job, Deed::Redispatch);
    assert_eq!((town.state(job), town.job(job).attempt), (JobState::Dispatching, 2));
    assert!(town.asked(job).contains(&ben));
}

#[test]
fn ops_cancel_before_the_work_begins() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let yes = town.accept(anna, job);
    assert!(town.won(yes));
    let request = town.steer(job, Deed::Cancel);
    assert!(town.steered(request));
    assert_eq!(town.state(job), JobState::Cancelled);
    let last = town.ledger.jobs[&job].events.last().expect("an event").clone();
    assert_eq!((last.kind, last.actor, last.reason.as_deref()), ("cancelled", ops(), Some(WHY)));
    assert_eq!(town.ledger.jobs[&job].row.view.reason.as_deref(), Some("cancelled_by_ops"));
    let nothing = town.steer(job, Deed::Resume);
    assert_eq!(town.refused(nothing), Some(Code::NotFound));
    let nowhere = town.steer(JobId(Uuid::from_u128(9)), Deed::Pause);
    assert_eq!(town.refused(nowhere), Some(Code::NotFound));
}

#[test]
fn ops_post_in_a_partners_name() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let (request, received_at) = (town.request(), town.now);
    let (by, reason) = (ops(), Some(WHY.to_owned()));
    let (booking, terms) = (Arc::new(town.booking()), town.terms());
    let partner = super::town::ada();
    town.send(Input::Posted { request, partner: partner.clone(), by, reason, key: None, booking, terms, received_at });
    let Some(Answer::Posted(view)) = town.answers.get(&request).cloned() else { panic!("posted") };
    assert_eq!(town.asked(view.id), [anna]);
    let rows = &town.ledger.jobs[&view.id];
    assert_eq!(rows.row.partner, partner, "it is the partner's");
    assert_eq!((&rows.events[0].actor, rows.events[0].reason.as_deref()), (&ops(), Some(WHY)));
    let cancelled = town.cancel(view.id);
    assert!(town.steered(cancelled), "who may do with it what they like");
}

#[test]
fn every_action_is_allowed_where_the_rules_say() {
    // Rules of the trade, §3.
    let state = |name: &str| serde_json::from_value::<JobState>(name.into()).expect("a state");
    for (deed, from) in [
        (Deed::Pause, "dispatching unfilled"),
        (Deed::Resume, "paused"),
        (Deed::Assign, "dispatching paused unfilled"),
        (Deed::Redispatch, "unfilled unsuccessful"),
        (Deed::Cancel, "needs_info dispatching paused unfilled assigned contacted appointed on_the_way"),
    ] {
        let states = "needs_info dispatching paused unfilled assigned contacted appointed on_the_way in_progress done \
                      unsuccessful confirmed disputed refunded cancelled expired closed";
        let may: Vec<&str> = states.split_whitespace().filter(|name| deed.may(state(name), Role::Ops)).collect();
        assert_eq!(may.join(" "), from, "{}", deed.as_str());
    }
    for deed in [Deed::Pause, Deed::Resume, Deed::Assign, Deed::Redispatch] {
        for role in [Role::Partner, Role::Customer] {
            assert!(!deed.may(JobState::Paused, role) && !deed.may(JobState::Unfilled, role), "{role:?}");
        }
    }
}
