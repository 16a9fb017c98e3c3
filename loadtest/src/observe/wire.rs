//! What the observer makes of each frame and each message of a friend: pure bookkeeping of who held what from when to
//! when. Every state gets the span in which it surely held and the one in which it may have.

use kiez_protocol::friend::{
    ClosedReason, FriendFrame, FriendMessage, JobCard, LostReason, Offer, Snapshot, Verdict, VisitEvent,
};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;

use super::friend::{FriendTrace, Holding};
use super::job::{Accept, Asked, Vanished};
use super::span::{Moment, NEVER, Span};
use super::{Asking, Observation};

impl Observation {
    /// A watched friend is about to send a frame.
    pub fn sent(&mut self, at: Moment, friend: FriendId, frame: &FriendFrame) {
        let rules = self.rules;
        let Some(trace) = self.friends.get_mut(&friend) else { return };
        self.tally.messages += 1;
        match frame {
            FriendFrame::Fix { lat, lng, .. } => {
                if let Ok(place) = Point::new(*lat, *lng) {
                    self.tally.fixes += 1;
                    self.ground.seen(friend, place);
                    trace.fix(at, place, &rules);
                }
            }
            FriendFrame::Duty { on, key, .. } => {
                trace.duty_asked(at, *on);
                if let Some(key) = key {
                    self.asking.insert((friend, *key), Asking::Duty { on: *on });
                }
            }
            FriendFrame::Accept { offer, key, .. } => self.accepting(at, friend, *offer, *key),
            FriendFrame::Decline { offer, key, .. } => {
                close_hand(trace, *offer, at, NEVER);
                if let Some(job) = self.offers.get(offer) {
                    self.jobs.entry(*job).or_default().declined.push((at, friend));
                }
                if let Some(key) = key
                    && self.asking.insert((friend, *key), Asking::Decline { offer: *offer }).is_none()
                {
                    self.tally.declines += 1;
                }
            }
            FriendFrame::Visit { job, event, key, .. } => {
                let first = self.asking.insert((friend, *key), Asking::Visit { job: *job, event: *event }).is_none();
                if !matches!(event, VisitEvent::Completed | VisitEvent::HandBack) {
                    return;
                }
                if first {
                    close_jobs(trace, *job, at, NEVER);
                }
                if *event == VisitEvent::HandBack {
                    let trace = self.jobs.entry(*job).or_default();
                    let said = trace.handed_back.iter().find(|(_, who, _)| *who == friend && !first);
                    let winners = trace.winners.iter().map(|(attempt, ..)| *attempt);
                    // A repeat is about the attempt that it was about at first.
                    let attempt = said.map_or_else(|| winners.max().unwrap_or(0), |(.., attempt)| *attempt);
                    trace.handed_back.push((at, friend, attempt));
                }
            }
            // The bots take nothing back.
            FriendFrame::Undo { .. }
            | FriendFrame::Hello { .. }
            | FriendFrame::Seen { .. }
            | FriendFrame::Missed { .. }
            | FriendFrame::WhyNot { .. }
            | FriendFrame::Ask { .. }
            | FriendFrame::Propose { .. }
            | FriendFrame::Message { .. }
            | FriendFrame::Ack { .. }
            | FriendFrame::Ping { .. }
            | FriendFrame::Settings { .. }
            | FriendFrame::Refresh { .. } => {}
        }
    }

    /// A watched friend has got a message.
    pub fn heard(&mut self, at: Moment, friend: FriendId, message: &FriendMessage) {
        let rules = self.rules;
        let Some(trace) = self.friends.get_mut(&friend) else { return };
        self.tally.messages += 1;
        let owed_since = trace.owed_since(at, &rules);
        let early = owed_since.unwrap_or(at).saturating_sub(rules.in_flight_us);
        match message {
            FriendMessage::Welcome(welcome) => {
                trace.up(at);
                if welcome.resumed {
                    trace.resumed(at);
                }
                self.time_scale = welcome.time_scale;
                self.tally.server_time = self.tally.server_time.max(welcome.server_time);
                self.welcomed = Some((at, welcome.server_time));
                self.tally.connects += 1;
            }
            FriendMessage::Snapshot(snapshot) => self.snapshot(at, friend, snapshot),
            FriendMessage::Duty(duty) => trace.duty_heard(at, duty.on, &rules),
            FriendMessage::Offer(offer) => self.offered(at, friend, offer, owed_since),
            FriendMessage::OfferUpdate(update) if update.renewed.is_none() => {
                // Renewed for an unfilled job: it no longer counts towards the hand.
                close_hand(trace, update.offer, early, at);
            }
            FriendMessage::OfferClosed { offer, reason } => {
                // Decided somewhen between the winner's accept and now: it is told after a commit, which may take long.
                let first_accept =
                    self.first_accept(*offer).filter(|_| *reason == ClosedReason::Taken && !self.strangers);
                let Some(trace) = self.friends.get_mut(&friend) else { return };
                close_hand(trace, *offer, first_accept.unwrap_or(early), at);
            }
            FriendMessage::AcceptResult { offer, key, result, reason } => {
                self.verdict(at, friend, *offer, *key, *result, *reason);
            }
            FriendMessage::Job(card) => self.card(at, friend, card),
            FriendMessage::Done { key } => self.done(at, friend, *key),
            FriendMessage::Error { code, key: Some(key), .. } => self.refused(at, friend, *code, *key),
            FriendMessage::OfferUpdate(_)
            | FriendMessage::AcceptPending { .. }
            | FriendMessage::Error { .. }
            | FriendMessage::Answer { .. }
            | FriendMessage::Message(_)
            | FriendMessage::Pong { .. }
            | FriendMessage::Expiring { .. }
            | FriendMessage::Refreshed { .. }
            | FriendMessage::StopLocation
            | FriendMessage::DutyEnding { .. }
            | FriendMessage::CapNear(_)
            | FriendMessage::Missed(_)
            | FriendMessage::Why(_)
            | FriendMessage::SettingsResult { .. }
            | FriendMessage::Account { .. }
            | FriendMessage::Draining { .. } => {}
        }
    }

    /// A watched friend's connection is gone.
    pub fn down(&mut self, at: Moment, friend: FriendId) {
        let rules = self.rules;
        if let Some(trace) = self.friends.get_mut(&friend) {
            trace.down(at, &rules);
        }
    }

    /// When the first accept of an offer's job was sent, in the offer's run.
    fn first_accept(&self, offer: OfferId) -> Option<Moment> {
        let job = self.jobs.get(self.offers.get(&offer)?)?;
        let attempt = job.asked.iter().find(|asked| asked.offer == offer)?.attempt;
        job.accepts.iter().filter(|accept| accept.attempt == attempt).map(|accept| accept.sent_at).min()
    }

    pub(crate) fn forget_job(&mut self, job: JobId) {
        if let Some(trace) = self.jobs.remove(&job) {
            for asked in &trace.asked {
                self.offers.remove(&asked.offer);
            }
            for accept in &trace.accepts {
                self.asking.remove(&(accept.friend, accept.key));
            }
        }
    }

    fn offered(&mut self, at: Moment, friend: FriendId, offer: &Offer, since: Option<Moment>) {
        if self.offers.insert(offer.offer, offer.job).is_some() {
            return;
        }
        self.tally.offers += 1;
        let trace = self.jobs.entry(offer.job).or_default();
        trace.asked.push(Asked {
            friend,
            offer: offer.offer,
            attempt: offer.attempt,
            wave: offer.wave,
            seat: offer.seat,
            expires_at: offer.expires_at,
            distance_m: offer.distance_m,
            why: offer.why,
            heard_at: at,
            since,
        });
        let posted_at = trace.posted.as_ref().map_or(0, |posted| posted.sent_at);
        let maybe_from = since.unwrap_or(at).saturating_sub(self.rules.in_flight_us).max(posted_at);
        if let Some(friend) = self.friends.get_mut(&friend) {
            friend.hand.push(Holding { offer: offer.offer, job: offer.job, span: Span::open(maybe_from, at) });
        }
    }

    fn snapshot(&mut self, at: Moment, friend: FriendId, snapshot: &Snapshot) {
        let rules = self.rules;
        let Some(trace) = self.friends.get_mut(&friend) else { return };
        let since = trace.down_at;
        trace.duty_heard(at, snapshot.duty.on, &rules);
        let named = |offer: OfferId| snapshot.offers.iter().any(|named| named.offer == offer);
        let mut gone = Vec::new();
        for holding in trace.hand.iter_mut().filter(|holding| holding.span.is_open() && !named(holding.offer)) {
            holding.span.close(since.saturating_sub(rules.in_flight_us), at);
            gone.push((holding.job, holding.offer));
        }
        for holding in trace.jobs.iter_mut().filter(|holding| holding.span.is_open()) {
            let won = snapshot.visits.iter().any(|card| card.job == holding.job);
            if !won && holding.span.sure_from < NEVER {
                holding.span.close(since.saturating_sub(rules.in_flight_us), at);
            }
        }
        for (job, offer) in gone {
            if let Some(trace) = self.jobs.get_mut(&job)
                && let Some(asked) = trace.asked.iter().find(|asked| asked.offer == offer)
            {
                let expired = asked.expires_at <= self.tally.server_time;
                trace.vanished.push(Vanished { friend, attempt: asked.attempt, at, expired });
            }
        }
        for offer in &snapshot.offers {
            self.offered(at, friend, offer, Some(since));
        }
    }

    fn accepting(&mut self, at: Moment, friend: FriendId, offer: OfferId, key: Key) {
        let Some(&job) = self.offers.get(&offer) else { return };
        let trace = self.jobs.entry(job).or_default();
        if let Some(accept) = trace.accept(key) {
            accept.sent += 1;
            // A finger that taps twice repeats on the same connection; an app that missed the answer on the next.
            let missed = self.friends.get(&friend).is_some_and(|friend| friend.up_after(accept.sent_at));
            let won = accept.verdicts.iter().any(|(verdict, _)| *verdict == Verdict::Won);
            if missed && won && !std::mem::replace(&mut accept.asking_again, true) {
                self.tally.wins_asked_again += 1;
            }
            if missed && accept.verdicts.is_empty() && !std::mem::replace(&mut accept.after_break, true) {
                self.tally.accepts_repeated += 1;
            }
            return;
        }
        let Some(asked) = trace.asked.iter().find(|asked| asked.offer == offer) else { return };
        let attempt = asked.attempt;
        self.tally.accepts += 1;
        let before = trace.accepts.iter().filter(|accept| accept.attempt == attempt && accept.friend != friend).count();
        self.tally.races += u64::from(before == 1);
        trace.accepts.push(Accept {
            friend,
            offer,
            attempt,
            key,
            sent_at: at,
            sent: 1,
            verdicts: Vec::new(),
            tried_again: 0,
            asking_again: false,
            after_break: false,
        });
        self.asking.insert((friend, key), Asking::Accept { job });
        if let Some(friend) = self.friends.get_mut(&friend) {
            // It may be won from now on; whether it was is known with the verdict.
            friend.jobs.push(Holding { offer, job, span: Span::open(at, NEVER) });
            if let Some(held) = friend.hand.iter_mut().find(|held| held.offer == offer) {
                held.span.sure_to = held.span.sure_to.min(at);
            }
        }
    }

    fn verdict(
        &mut self,
        at: Moment,
        friend: FriendId,
        offer: OfferId,
        key: Key,
        result: Verdict,
        reason: Option<LostReason>,
    ) {
        let Some(Asking::Accept { job }) = self.asking.get(&(friend, key)).copied() else { return };
        let trace = self.jobs.entry(job).or_default();
        let Some(accept) = trace.accept(key) else { return };
        if result == Verdict::TryAgain {
            accept.tried_again += 1;
            return;
        }
        accept.verdicts.push((result, reason));
        let (attempt, sent_at, first) = (accept.attempt, accept.sent_at, accept.verdicts.len() == 1);
        if std::mem::take(&mut accept.asking_again) {
            self.tally.wins_confirmed += u64::from(result == Verdict::Won);
        }
        if first {
            let took_us = at.saturating_sub(sent_at);
            self.tally.accept_us.note(took_us);
            let stretch = &mut self.tally.stretch;
            match result {
                Verdict::Won if stretch.holds(sent_at) => stretch.won_us.note(took_us),
                Verdict::Lost if stretch.holds(sent_at) => stretch.lost_us.note(took_us),
                Verdict::Won | Verdict::Lost | Verdict::NeedsReconfirm | Verdict::TryAgain => {}
            }
        }
        let Some(holder) = self.friends.get_mut(&friend) else { return };
        // A verdict ends the offer; one that asks to confirm anew does not.
        if result != Verdict::NeedsReconfirm {
            close_hand(holder, offer, sent_at, at);
        }
        match result {
            Verdict::Won => {
                for holding in holder.jobs.iter_mut().filter(|holding| holding.offer == offer) {
                    holding.span.sure_from = holding.span.sure_from.min(at);
                }
                self.won(at, job, attempt, friend);
            }
            Verdict::Lost | Verdict::NeedsReconfirm => {
                holder.jobs.retain(|holding| holding.offer != offer || holding.span.sure_from < NEVER);
            }
            Verdict::TryAgain => {}
        }
    }

    fn won(&mut self, at: Moment, job: JobId, attempt: u16, friend: FriendId) {
        let trace = self.jobs.entry(job).or_default();
        if trace.winners.iter().any(|(won, who, _)| (*won, *who) == (attempt, friend)) {
            return;
        }
        if trace.winners.iter().any(|(won, ..)| *won == attempt) {
            self.tally.double_winners += 1;
            self.tally.find(format!("job {job}, attempt {attempt}: {friend} won as well"));
        }
        if trace.winners.is_empty() {
            self.tally.jobs_assigned += 1;
        }
        self.tally.wins += 1;
        trace.winners.push((attempt, friend, at));
        self.measure_win(job);
    }

    /// Counts the time to the first win and the distance of the winner, as soon as post and win are both known.
    pub(super) fn measure_win(&mut self, job: JobId) {
        let Some(trace) = self.jobs.get_mut(&job) else { return };
        let (Some(posted), Some((_, winner, won_at))) = (&trace.posted, trace.winners.first()) else { return };
        if std::mem::replace(&mut trace.win_measured, true) {
            return;
        }
        self.tally.assign_us.note(won_at.saturating_sub(posted.sent_at));
        let last = self.friends.get(winner).and_then(|winner| winner.fixes.iter().rev().find(|(at, _)| at <= won_at));
        if let Some((_, place)) = last {
            self.tally.winner_m.note(place.distance_m(posted.job.location).round() as u64);
        }
    }

    /// A card tells when a job that was held has ended otherwise than by the friend's own word.
    fn card(&mut self, at: Moment, friend: FriendId, card: &JobCard) {
        let held = matches!(
            card.state,
            JobState::Assigned | JobState::Contacted | JobState::Appointed | JobState::OnTheWay | JobState::InProgress
        );
        let rules = self.rules;
        if let Some(trace) = self.friends.get_mut(&friend)
            && !held
        {
            let early = trace.owed_since(at, &rules).unwrap_or(at).saturating_sub(rules.in_flight_us);
            close_jobs(trace, card.job, early, at);
        }
    }

    fn done(&mut self, at: Moment, friend: FriendId, key: Key) {
        let rules = self.rules;
        let (Some(asking), Some(trace)) = (self.asking.remove(&(friend, key)), self.friends.get_mut(&friend)) else {
            return;
        };
        match asking {
            Asking::Duty { on } => trace.duty_heard(at, on, &rules),
            Asking::Decline { offer } => close_hand(trace, offer, at, at),
            Asking::Visit { job, event } => {
                if matches!(event, VisitEvent::Completed | VisitEvent::HandBack) {
                    close_jobs(trace, job, at, at);
                }
                if event == VisitEvent::Completed {
                    self.tally.jobs_completed += 1;
                    self.jobs.entry(job).or_default().completed_at.get_or_insert(at);
                }
            }
            Asking::Accept { .. } => {}
        }
    }

    fn refused(&mut self, at: Moment, friend: FriendId, code: Code, key: Key) {
        if matches!(code.status(), 429 | 500 | 503) {
            return;
        }
        let Some(asking) = self.asking.get(&(friend, key)).copied() else { return };
        *self.tally.refused.entry(format!("{code:?}")).or_default() += 1;
        match asking {
            Asking::Accept { job } => {
                let trace = self.jobs.entry(job).or_default();
                let Some(accept) = trace.accept(key) else { return };
                accept.verdicts.push((Verdict::Lost, None));
                let (offer, sent_at) = (accept.offer, accept.sent_at);
                if code == Code::NotFound {
                    self.tally.lost_offers += 1;
                    self.tally.find(format!("job {job}: the server denies offer {offer}, which {friend} holds"));
                }
                if let Some(holder) = self.friends.get_mut(&friend) {
                    close_hand(holder, offer, sent_at, at);
                    holder.jobs.retain(|holding| holding.offer != offer || holding.span.sure_from < NEVER);
                }
            }
            Asking::Decline { .. } | Asking::Duty { .. } | Asking::Visit { .. } => {}
        }
    }
}

fn close_hand(trace: &mut FriendTrace, offer: OfferId, sure_to: Moment, maybe_to: Moment) {
    for holding in trace.hand.iter_mut().filter(|holding| holding.offer == offer) {
        holding.span.close(sure_to, maybe_to);
    }
}

fn close_jobs(trace: &mut FriendTrace, job: JobId, sure_to: Moment, maybe_to: Moment) {
    for holding in trace.jobs.iter_mut().filter(|holding| holding.job == job && holding.span.sure_from < NEVER) {
        holding.span.close(sure_to, maybe_to);
    }
}
