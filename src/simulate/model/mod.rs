//! What must be true, said apart from the system that makes it true (rules of the trade, §8). The model sees what
//! anybody outside of the core could see: the inputs, the records that were decided and those that were committed, the
//! messages that were told, and who stood where. It keeps books of its own and compares.
//!
//! | page | what is compared |
//! | --- | --- |
//! | `book`, `job` | a record with all records before it: events, offers, winners, places, money, deadlines |
//! | `choice` | who was asked, with everybody who could have been: by brute force, with gates of its own |
//! | `talk` | questions, proposals and messages |
//! | `told` | what is told, with what is committed: nothing before, and nothing private but to the winner |
//! | `night` | when clocks stand |
//! | `rest` | what stands while nothing happens: nothing late, forgotten, or unlike what the apps believe |
//!
//! There are two books. One dispatcher's *decided* book has every record it has made; the *committed* book has what the
//! ledger holds. After a refusal or a restart, decided begins again at committed.

mod book;
mod choice;
mod job;
mod night;
mod rest;
mod talk;
mod told;

pub(crate) use book::Book;
pub(crate) use job::Asked;
pub(crate) use rest::Glance;
pub(crate) use told::{Heard, text_of};

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use kiez_protocol::directory::{Community, Friend};
use kiez_protocol::friend::{LostReason, Verdict};
use kiez_protocol::ids::{FriendId, JobId, Key};
use kiez_protocol::time::Time;

use crate::dispatch::effect::Record;

macro_rules! rules {
    ($($name:ident: $text:literal;)*) => {
        /// What must always hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = $text] $name,)* }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$name,)*];

            /// In words.
            pub fn text(self) -> &'static str {
                match self { $(Rule::$name => $text,)* }
            }
        }
    };
}

rules! {
    OneWinner: "at most one winner per job and attempt";
    ToldIsCommitted: "nothing is told before its commit";
    Capacity: "nobody holds more jobs than they have places for";
    Nearest: "who was asked is suitable, and nobody suitable is nearer";
    Fair: "the seat for the longest wait goes past nobody who has waited longer";
    Replay: "a choice made again from its record comes out the same";
    Seats: "one live offer a seat, and each is closed exactly once";
    Deadline: "every job that is not final has its next deadline";
    Events: "every change is one event, and the events replay to the state";
    Private: "no street, name or phone to anybody but the winner";
    Night: "nobody is asked or reminded at night, and the clocks of waves and offers stand";
    Span: "an offer lasts as long as the policy says";
    Net: "net never falls between offers of a job";
    Undo: "a no can be taken back in its time, and its seat stays empty until then";
    Named: "whom the customer has named holds the only offer in their time, and nobody is asked before";
    Talk: "questions, proposals and messages are as often, as long and between whom they may be";
    First: "an accept that was taken before goes before a confirm, a cancel and an edit";
    Seen: "nobody wins a job that they have not seen as it is";
    Blocked: "who declined or handed back never sees the job again";
    Restart: "after a restart stands what stood before";
    CoolDown: "who lets the contact clock run out rests as long as the policy says";
    Balance: "commission and net make up the price, to the cent";
    OneKey: "one key makes one job, and one accept has one verdict";
    Kept: "what was acknowledged is never lost";
    Overdue: "what is due happens";
    Forgotten: "nobody suitable waits unasked while a job looks for them";
    Agree: "what the apps were told is what stands";
    Answered: "whoever asks is answered in the end";
    NoPanic: "the core keeps its own promises: it does not panic";
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// For which job.
    pub job: Option<JobId>,
    /// How.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.text(), self.what)
    }
}

/// Whether it holds.
pub(crate) type Checked = Result<(), Broken>;

/// Asks whether something holds; counts that it was asked.
#[derive(Debug, Default)]
pub(crate) struct Tally([u64; Rule::ALL.len()]);

impl Tally {
    /// A rule was looked at.
    pub fn looked(&mut self, rule: Rule) {
        self.0[rule as usize] += 1;
    }

    /// How often it was looked at.
    pub fn of(&self, rule: Rule) -> u64 {
        self.0[rule as usize]
    }
}

/// Fails with the rule unless it holds.
pub(crate) fn hold(ok: bool, rule: Rule, job: impl Into<Option<JobId>>, what: impl FnOnce() -> String) -> Checked {
    if ok { Ok(()) } else { Err(Broken { rule, job: job.into(), what: what() }) }
}

/// What the model knows of the whole city.
#[derive(Debug)]
pub(crate) struct Model {
    /// What the ledger holds.
    pub committed: Book,
    pub tally: Tally,
    pub friends: Vec<Arc<Friend>>,
    /// What each friend's newest session was told.
    pub heard: Vec<Heard>,
    verdicts: HashMap<(FriendId, Key), (Verdict, Option<LostReason>)>,
    winners: HashMap<(JobId, u16), FriendId>,
    acknowledged: Vec<JobId>,
    /// Every duty that was ever committed.
    duties: HashSet<(FriendId, bool, Option<Time>)>,
}

impl Model {
    /// Friends, and the communities as they were agreed on.
    pub fn new(friends: Vec<Arc<Friend>>, agreed: &[Arc<Community>]) -> Model {
        Model {
            committed: Book::new(friends.len(), agreed.into()),
            tally: Tally::default(),
            heard: vec![Heard::default(); friends.len()],
            friends,
            verdicts: HashMap::new(),
            winners: HashMap::new(),
            acknowledged: Vec::new(),
            duties: HashSet::new(),
        }
    }

    /// The ledger holds one more record.
    pub fn committed(&mut self, record: &Record) -> Checked {
        if let Record::Duty(row) = record {
            self.duties.insert((row.friend, row.duty.on, row.duty.until));
        }
        self.committed.apply(record, &self.friends, &mut self.tally, None)
    }
}
