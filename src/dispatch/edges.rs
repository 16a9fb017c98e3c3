//! Who may do what to a job, and in which states: each edge of the job's life lists both. What is not listed is refused
//! with the state and with what the same person may do instead. Who somebody is, is proven by their own channel: an API
//! key, a customer's link, a token of ops.
//!
//! What friends do with their offers and visits is listed where it is decided (`hand`, `asking`, `proposing`, `visit`).

use kiez_protocol::partner::JobState;

use super::Dispatcher;
use super::effect::{Actor, Answer, Effects, Message};
use super::hand::after_all;
use super::input::Request;
use super::job::Job;

/// Something that is done to a job by request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// What was booked is changed.
    Edit,
    /// Questions are answered: the package's, or those of friends.
    Answer,
    /// Dispatch is held.
    Pause,
    /// Dispatch goes on.
    Resume,
    /// The job is called off.
    Cancel,
    /// The job is given to a friend, whatever the gates say.
    Assign,
    /// Friends are asked anew.
    Redispatch,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The partner whose job it is.
    Partner,
    /// Its customer, by the link.
    Customer,
    /// Ops, with a reason.
    Ops,
}

/// The states before the work begins.
const BEFORE_WORK: &[JobState] = &[
    JobState::NeedsInfo,
    JobState::Dispatching,
    JobState::Paused,
    JobState::Unfilled,
    JobState::Assigned,
    JobState::Contacted,
    JobState::Appointed,
    JobState::OnTheWay,
];

impl Deed {
    /// Every deed, in the order in which they are told.
    pub const ALL: [Deed; 7] =
        [Deed::Edit, Deed::Answer, Deed::Pause, Deed::Resume, Deed::Assign, Deed::Redispatch, Deed::Cancel];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Deed::Edit => "edit",
            Deed::Answer => "answers",
            Deed::Pause => "pause",
            Deed::Resume => "resume",
            Deed::Cancel => "cancel",
            Deed::Assign => "assign",
            Deed::Redispatch => "redispatch",
        }
    }

    /// The states in which it may be done, and who may.
    pub fn edge(self) -> (&'static [JobState], &'static [Role]) {
        match self {
            Deed::Edit => (BEFORE_WORK, &[Role::Partner, Role::Ops]),
            Deed::Answer | Deed::Cancel => (BEFORE_WORK, &[Role::Partner, Role::Customer, Role::Ops]),
            Deed::Pause => (&[JobState::Dispatching, JobState::Unfilled], &[Role::Ops]),
            // A customer whose answers a pause waits for resumes it by giving them.
            Deed::Resume => (&[JobState::Paused], &[Role::Ops]),
            Deed::Assign => (&[JobState::Dispatching, JobState::Paused, JobState::Unfilled], &[Role::Ops]),
            Deed::Redispatch => (&[JobState::Unfilled, JobState::Unsuccessful], &[Role::Ops]),
        }
    }

    /// Whether it may be done in this state by this role.
    pub fn may(self, state: JobState, role: Role) -> bool {
        let (states, roles) = self.edge();
        states.contains(&state) && roles.contains(&role)
    }
}

/// What this role may do in this state, by the names on the wire.
pub fn allowed(state: JobState, role: Role) -> Vec<&'static str> {
    Deed::ALL.into_iter().filter(|deed| deed.may(state, role)).map(Deed::as_str).collect()
}

impl Actor {
    /// The role in which somebody asks for something. The server and friends ask for none of it.
    pub fn role(&self) -> Option<Role> {
        match self {
            Actor::Partner(_) => Some(Role::Partner),
            Actor::Customer => Some(Role::Customer),
            Actor::Ops(_) => Some(Role::Ops),
            Actor::System | Actor::Friend(_) => None,
        }
    }

    /// The reason that others than ops see: what ops write is for ops.
    pub(super) fn shown(&self, reason: Option<&str>, of_ops: &str) -> Option<String> {
        match self {
            Actor::Ops(_) => Some(of_ops.to_owned()),
            Actor::Partner(_) | Actor::Customer | Actor::Friend(_) | Actor::System => reason.map(str::to_owned),
        }
    }

    /// Whether this job is theirs to speak of. A customer's link names its one job, and ops see all.
    pub fn knows(&self, job: &Job) -> bool {
        match self {
            Actor::Partner(partner) => job.partner == *partner,
            Actor::Customer | Actor::Ops(_) => true,
            Actor::System | Actor::Friend(_) => false,
        }
    }
}

impl Dispatcher {
    /// Refuses a deed for the state the job is in, after all that was recorded of it before.
    pub(super) fn refuse_state(&self, job: &Job, request: Request, by: &Actor, effects: &mut Effects) {
        let state = job.state;
        let allowed = by.role().map(|role| allowed(state, role)).unwrap_or_default();
        let answer = Answer::WrongState { state, allowed };
        effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
    }
}
