//! Was the server right? At the end of a run, or now and then in one without an end: every choice of friends is judged,
//! every accept must have its one verdict, and whatever was acknowledged must still be there.

use kiez_protocol::friend::Verdict;
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::{JobState, JobView, Urgency};

use crate::gauge::Generator;
use crate::judge::{Judgement, Terms, no_more};
use crate::measure::{Load, Outages};
use crate::observe::Observation;
use crate::observe::job::{Choice, JobTrace, Posted};
use crate::observe::span::Moment;
use crate::report::Report;

/// A job that has not ended is forgotten after so long, in a run that forgets at all: 6 h.
const FORGOTTEN_US: Moment = 6 * 3_600 * 1_000_000;

impl Observation {
    /// Judges all choices made before `until` that have not been judged, and counts what came of them. What is still to
    /// be heard of a choice must have been heard by now: `until` lies well in the past, or the run is over.
    pub fn settle(&mut self, until: Moment) {
        let mut judged = Vec::new();
        for (id, job) in &self.jobs {
            let Some(terms) = self.terms(job) else { continue };
            let choices = job.choices(self.rules.in_flight_us);
            let with_post = choices.iter().any(|choice| choice.with_post);
            if !with_post && !job.first_judged && terms.posted.answered_at < until {
                let nobody = nobody_asked(terms.posted);
                if terms.posted.view.state != JobState::NeedsInfo {
                    judged.push((*id, self.judge(job, &terms, &nobody), nobody));
                }
            }
            for choice in choices {
                let key = (choice.attempt, choice.wave, choice.members[0].expires_at);
                if choice.to < until && !job.judged.contains(&key) {
                    judged.push((*id, self.judge(job, &terms, &choice), choice));
                }
            }
        }
        judged.sort_by_key(|(_, _, choice)| choice.to);
        for (id, judgement, choice) in judged {
            self.tally.choices += 1;
            self.tally.around_outages += u64::from(self.just_back(choice.from, choice.to));
            if choice.with_post {
                self.tally.first_choices += 1;
                self.tally.first_filled += choice.members.len() as u64;
                for asked in choice.members.iter().filter(|asked| asked.since.is_none()) {
                    // The window of such a choice begins with the post.
                    self.tally.offer_us.note(asked.heard_at.saturating_sub(choice.from));
                }
                self.measure_offers(id, &choice);
            }
            match judgement {
                Judgement::Right => {}
                Judgement::Explained => self.tally.explained += 1,
                Judgement::Excused => self.tally.excused += 1,
                Judgement::Wrong(why) => {
                    self.tally.wrong_four += 1;
                    self.tally.find(format!("job {id}, attempt {}, wave {}: {why}", choice.attempt, choice.wave));
                }
            }
            let job = self.jobs.get_mut(&id).expect("judged jobs are known");
            job.first_judged |= choice.with_post;
            if let Some(first) = choice.members.first() {
                job.judged.push((choice.attempt, choice.wave, first.expires_at));
            }
        }
    }

    /// When the first offer and the fourth could be read, of a job that was posted while it is measured.
    fn measure_offers(&mut self, id: JobId, choice: &Choice) {
        let posted = self.jobs.get(&id).and_then(|job| job.posted.as_ref());
        let Some(intended_at) = posted.map(|posted| posted.intended_at) else { return };
        let stretch = &mut self.tally.stretch;
        if !stretch.holds(intended_at) || choice.members.iter().any(|asked| asked.since.is_some()) {
            return;
        }
        let mut heard: Vec<Moment> = choice.members.iter().map(|asked| asked.heard_at).collect();
        heard.sort_unstable();
        if let Some(first) = heard.first() {
            stretch.first_offer_us.note(first.saturating_sub(intended_at));
        }
        if let Some(fourth) = heard.get(3) {
            stretch.fourth_offer_us.note(fourth.saturating_sub(intended_at));
        }
    }

    /// Ends the run: judges what is left, asks what became of every accept and every job, and reports. `views` are the
    /// jobs as their partners see them now; `None` is a job that the server does not know.
    pub fn finish(&mut self, views: &[(JobId, Option<JobView>)]) -> Report {
        self.settle(Moment::MAX);
        for (id, job) in &self.jobs {
            for accept in &job.accepts {
                let (tally, who) = (&mut self.tally, accept.friend);
                if accept.verdicts.is_empty() {
                    tally.verdicts_missing += 1;
                    tally.find(format!("job {id}: the accept of {who} has no verdict"));
                }
                if accept.verdicts.len() + accept.tried_again as usize > accept.sent as usize {
                    tally.verdicts_doubled += 1;
                    tally.find(format!("job {id}: {who} was told {} verdicts", accept.verdicts.len()));
                }
                let won = |(verdict, _): &(Verdict, _)| *verdict == Verdict::Won;
                if accept.verdicts.iter().any(won) && !accept.verdicts.iter().all(won) {
                    tally.verdicts_conflicting += 1;
                    tally.find(format!("job {id}: {who} was told both won and not"));
                }
            }
            // An offer that was live when the connection broke, had not ended by the server's own clock, and was neither
            // won, withdrawn nor given back by anybody, but was gone afterwards.
            for vanished in &job.vanished {
                let taken = job.accepts.iter().any(|accept| {
                    let won = accept.verdicts.iter().any(|(verdict, _)| *verdict == Verdict::Won);
                    won && accept.attempt == vanished.attempt && accept.sent_at <= vanished.at
                });
                let given_back = no_more(job, vanished.friend).is_some_and(|(first, _)| first <= vanished.at);
                let decided = taken || given_back || job.cancelled_at.is_some();
                if !vanished.expired && !decided && !self.strangers {
                    self.tally.lost_offers += 1;
                    self.tally.find(format!("job {id}: a live offer was gone after a break"));
                }
            }
        }
        for (id, view) in views {
            let Some(job) = self.jobs.get(id).filter(|job| job.posted.is_some()) else { continue };
            let Some(view) = view else {
                self.tally.lost_jobs += 1;
                self.tally.find(format!("job {id} was acknowledged, and the server does not know it"));
                continue;
            };
            if job.completed_at.is_some() && !is_over(view.state) {
                self.tally.lost_visits += 1;
                self.tally
                    .find(format!("job {id}: its completion was answered, and the partner sees {:?}", view.state));
            }
            let Some((attempt, winner, _)) = job.winners.iter().max_by_key(|(attempt, ..)| *attempt) else { continue };
            let given_up = job.handed_back.iter().any(|(_, friend, from)| (friend, from) == (winner, attempt))
                || view.attempt > *attempt
                || job.cancelled_at.is_some();
            let seen = view.friend.as_ref().map(|friend| friend.id);
            if !given_up && seen != Some(*winner) {
                self.tally.lost_wins += 1;
                self.tally.find(format!("job {id}: {winner} was told won, and the partner sees {seen:?}"));
            }
        }
        Report::new(&self.tally, self.time_scale(), self.friends.len() as u64)
    }

    /// What was seen of outages: what was repeated, asked again and excused. The rest is known to whoever killed the server.
    pub fn outages_seen(&self) -> Outages {
        let tally = &self.tally;
        Outages {
            accepts_repeated: tally.accepts_repeated,
            wins_asked_again: tally.wins_asked_again,
            wins_confirmed: tally.wins_confirmed,
            choices_around: tally.around_outages,
            choices_excused: tally.excused,
            ..Outages::default()
        }
    }

    /// The latencies that were measured. What it cost is known to whoever held the gauge.
    pub fn load_seen(&self) -> Load {
        let stretch = &self.tally.stretch;
        Load {
            jobs_measured: stretch.jobs,
            post_ms: stretch.post_us.ms(),
            first_offer_ms: stretch.first_offer_us.ms(),
            fourth_offer_ms: stretch.fourth_offer_us.ms(),
            won_ms: stretch.won_us.ms(),
            lost_ms: stretch.lost_us.ms(),
            generator: Generator { post_lag_ms: stretch.post_lag_us.ms(), ..Generator::default() },
            ..Load::default()
        }
    }

    /// Frames and requests sent, messages and answers read so far.
    pub fn messages(&self) -> u64 {
        self.tally.messages
    }

    /// Forgets what ended before `until` and has been judged, so that a run without an end needs no memory without one.
    /// The jobs that are forgotten; they are no longer part of what [`Observation::finish`] checks.
    pub fn forget(&mut self, until: Moment) -> Vec<JobId> {
        for friend in self.friends.values_mut() {
            friend.forget(until);
        }
        let over = |job: &JobTrace| {
            let ended = job.completed_at.or(job.cancelled_at).is_some_and(|at| at < until);
            let posted_at = job.posted.as_ref().map_or(until, |posted| posted.answered_at);
            ended || posted_at + FORGOTTEN_US < until
        };
        let gone: Vec<JobId> = self.jobs.iter().filter(|(_, job)| over(job)).map(|(id, _)| *id).collect();
        for id in &gone {
            self.forget_job(*id);
        }
        gone
    }

    fn terms<'a>(&'a self, job: &'a JobTrace) -> Option<Terms<'a>> {
        let posted = job.posted.as_ref()?;
        let community = self.communities.get(&posted.community)?;
        let package = self.packages.get(&posted.job.package)?;
        let plan = match posted.job.urgency {
            Urgency::Urgent => &community.policy.urgent,
            Urgency::Normal => &community.policy.normal,
            Urgency::Relaxed => &community.policy.relaxed,
        };
        Some(Terms { posted, community, package, plan })
    }
}

/// Whether the work was done, whatever came after.
fn is_over(state: JobState) -> bool {
    match state {
        JobState::Done | JobState::Confirmed | JobState::Disputed | JobState::Refunded | JobState::Closed => true,
        JobState::NeedsInfo
        | JobState::Dispatching
        | JobState::Paused
        | JobState::Unfilled
        | JobState::Assigned
        | JobState::Contacted
        | JobState::Appointed
        | JobState::OnTheWay
        | JobState::InProgress
        | JobState::Unsuccessful
        | JobState::Cancelled
        | JobState::Expired => false,
    }
}

/// A post that nobody was asked for.
fn nobody_asked(posted: &Posted) -> Choice {
    Choice {
        attempt: 1,
        wave: 1,
        members: Vec::new(),
        before: Vec::new(),
        opened: true,
        with_post: true,
        from: posted.sent_at,
        to: posted.answered_at,
    }
}
