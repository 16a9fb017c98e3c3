//! What is said about a job, as data: questions with their replies, proposals, messages. Each is decided on a page of its own
//! (`asking`, `proposing`, `messages`); here is what is kept of it, in memory while the job is open and in the ledger.

use kiez_protocol::ids::{FriendId, Key, OfferId};
use kiez_protocol::partner::Window;
use kiez_protocol::talk::{AskedView, JobMessage, ProposalView, Voice};
use kiez_protocol::time::Time;

use super::job::{Job, OfferState};

/// All that is said about a job; in a record, what is new or has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// Questions, by their number.
    pub questions: Vec<Question>,
    /// Proposals, one an offer.
    pub proposals: Vec<Proposal>,
    /// Messages, by their number.
    pub messages: Vec<Said>,
}

impl Talk {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.proposals.is_empty() && self.messages.is_empty()
    }

    /// Takes in what a record says: a question or a proposal that is there already is replaced.
    pub fn take_in(&mut self, new: &Talk) {
        for question in &new.questions {
            match self.questions.iter_mut().find(|asked| asked.number == question.number) {
                Some(asked) => *asked = question.clone(),
                None => self.questions.push(question.clone()),
            }
        }
        for proposal in &new.proposals {
            match self.proposals.iter_mut().find(|made| made.offer == proposal.offer) {
                Some(made) => *made = proposal.clone(),
                None => self.proposals.push(proposal.clone()),
            }
        }
        self.messages.extend(new.messages.iter().cloned());
    }
}

/// A question of a friend, or of the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Counts the questions of the job from 1.
    pub number: u16,
    /// Who asks; the server, if nobody.
    pub asker: Option<Asker>,
    /// What is asked, contact data filtered.
    pub text: String,
    /// When.
    pub asked_at: Time,
    /// The newest reply, contact data filtered, and when it came.
    pub reply: Option<(String, Time)>,
}

/// The friend who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub friend: FriendId,
    /// Holding which offer.
    pub offer: OfferId,
    /// Which of the friend's questions about this job it is, from 1.
    pub nth: u8,
    /// The frame's key.
    pub key: Option<Key>,
}

/// Times that a friend proposes: to be confirmed by the customer while nobody has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Under which offer.
    pub offer: OfferId,
    /// By whom.
    pub friend: FriendId,
    /// Of which revision of the job.
    pub revision: u32,
    /// The frame's key; a confirmed proposal is an accept with this key.
    pub key: Key,
    /// The windows, 1 to 3.
    pub windows: Vec<Window>,
    /// When it was made.
    pub proposed_at: Time,
    /// Until when it can be confirmed.
    pub until: Time,
}

/// A message between the customer and a friend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Counts the messages of the job from 1.
    pub number: u16,
    /// The friend who spoke or was spoken to.
    pub friend: FriendId,
    /// Who spoke.
    pub from: Voice,
    /// What.
    pub text: String,
    /// The key of the frame or request.
    pub key: Option<Key>,
    /// When.
    pub at: Time,
}

impl Question {
    /// As all see it.
    pub fn view(&self) -> AskedView {
        let reply = self.reply.as_ref().map(|(text, _)| text.clone());
        AskedView { number: self.number, question: self.text.clone(), reply }
    }
}

impl Proposal {
    /// As the customer sees it.
    pub fn view(&self) -> ProposalView {
        let Proposal { offer, ref windows, proposed_at, until, .. } = *self;
        ProposalView { id: offer, windows: windows.clone(), proposed_at, until }
    }
}

impl Said {
    /// As both sides see it.
    pub fn view(&self, job: &Job) -> JobMessage {
        JobMessage { job: job.id, number: self.number, from: self.from, text: self.text.clone(), at: self.at }
    }
}

impl Job {
    /// The proposals that could be confirmed, but for their time: the offer is live, and the job as it was.
    pub fn open_proposals(&self) -> impl Iterator<Item = &Proposal> {
        let live = |offer: OfferId| self.offers.iter().any(|o| o.id == offer && o.state == OfferState::Live);
        self.talk.proposals.iter().filter(move |proposal| proposal.revision == self.revision && live(proposal.offer))
    }
}
