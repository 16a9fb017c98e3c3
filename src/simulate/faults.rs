//! What goes wrong in a simulated city, and how often; and what can be broken on purpose, to try the checks themselves.

use std::str::FromStr;

/// How often what goes wrong. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Factor on how often lines break, stall and repeat themselves; 0: never.
    pub network: f64,
    /// Kills of the server a day, half of them in the middle of its work.
    pub crashes_per_day: f64,
    /// Times a day that the server stands still, another takes over, and the old one wakes up and wants to go on.
    pub takeovers_per_day: f64,
    /// Commits whose reply is lost: half of them are written, half are not.
    pub unknown_share: f64,
    /// Records that the ledger refuses for good.
    pub refused_share: f64,
    /// Times a day that the ledger is away, for seconds to minutes.
    pub outages_per_day: f64,
    /// Accepts that are tapped twice.
    pub double_tap_share: f64,
    /// Friends who decide within the same two seconds as everybody else, and who tap although it may be too late.
    pub rush_share: f64,
    /// Friends' papers that are missing or run out, and friends who do not want to do more than so much; else all is in
    /// order.
    pub papers_share: f64,
    /// Unfilled jobs that ops take in hand: they give them to somebody, or have friends asked anew.
    pub ops_share: f64,
    /// How much people speak: friends who take a no back, ask, propose and write, customers who name somebody, against
    /// usual people; 0: not at all.
    pub talk: f64,
    /// Partner requests whose reply, or who themselves, are lost; the partner asks again with the same key.
    pub lost_request_share: f64,
}

impl Faults {
    /// Nothing goes wrong: for comparing policies.
    pub const NONE: Faults = Faults {
        network: 0.0,
        crashes_per_day: 0.0,
        takeovers_per_day: 0.0,
        unknown_share: 0.0,
        refused_share: 0.0,
        outages_per_day: 0.0,
        double_tap_share: 0.0,
        rush_share: 0.0,
        papers_share: 0.0,
        ops_share: 0.0,
        talk: 1.0,
        lost_request_share: 0.0,
    };
    /// A bad week, every day.
    pub const USUAL: Faults = Faults {
        network: 1.0,
        crashes_per_day: 3.0,
        takeovers_per_day: 1.0,
        unknown_share: 0.003,
        refused_share: 0.001,
        outages_per_day: 3.0,
        double_tap_share: 0.05,
        rush_share: 0.15,
        papers_share: 0.1,
        ops_share: 0.3,
        talk: 1.0,
        lost_request_share: 0.03,
    };
    /// Hardly anything works.
    pub const HARSH: Faults = Faults {
        network: 6.0,
        crashes_per_day: 24.0,
        takeovers_per_day: 8.0,
        unknown_share: 0.05,
        refused_share: 0.02,
        outages_per_day: 30.0,
        double_tap_share: 0.3,
        rush_share: 0.5,
        papers_share: 0.2,
        ops_share: 0.6,
        talk: 3.0,
        lost_request_share: 0.2,
    };
}

/// How much goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// [`Faults::NONE`].
    None,
    /// [`Faults::USUAL`].
    #[default]
    Usual,
    /// [`Faults::HARSH`].
    Harsh,
    /// One of the three, by the seed.
    Mixed,
}

impl Weather {
    /// The faults of a seed.
    pub fn faults(self, seed: u64) -> Faults {
        match self {
            Weather::None => Faults::NONE,
            Weather::Usual => Faults::USUAL,
            Weather::Harsh => Faults::HARSH,
            Weather::Mixed => match seed % 3 {
                0 => Faults::NONE,
                1 => Faults::USUAL,
                _ => Faults::HARSH,
            },
        }
    }

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Weather::None => "none",
            Weather::Usual => "usual",
            Weather::Harsh => "harsh",
            Weather::Mixed => "mixed",
        }
    }
}

impl FromStr for Weather {
    type Err = String;

    fn from_str(text: &str) -> Result<Weather, String> {
        let all = [Weather::None, Weather::Usual, Weather::Harsh, Weather::Mixed];
        let found = all.into_iter().find(|weather| weather.as_str() == text);
        found.ok_or_else(|| "takes none, usual, harsh or mixed".to_owned())
    }
}

macro_rules! mutations {
    ($($name:ident, $word:literal: $about:literal;)*) => {
        /// Something that is broken on purpose. A run with one of these must fail: a check that cannot fail proves
        /// nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation { $(#[doc = $about] $name,)* }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Mutation] = &[$(Mutation::$name,)*];

            /// The name on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Mutation::$name => $word,)* }
            }

            /// What is broken.
            pub fn about(self) -> &'static str {
                match self { $(Mutation::$name => $about,)* }
            }
        }
    };
}

mutations! {
    NoUniqueIndex, "unique-index": "The ledger has no unique index: a second job in one place is written.";
    OpenFence, "fence": "The ledger lets a dispatcher write whose epoch is over.";
    TellEarly, "tell-early": "What waits for a commit is told at once.";
    UnwrittenIsWritten, "unwritten": "A commit that was lost counts as written when the reply is missing.";
    UnknownIsLost, "unknown-is-lost": "A commit without a reply counts as lost and is tried again without a look.";
    LostRecord, "lost-record": "The ledger says it has written, and now and then it has not.";
    PlaceKept, "place-kept": "The ledger forgets to free a place: a visit that has ended stays active.";
    KeysForgotten, "keys-forgotten": "A restart forgets the idempotency keys.";
    BlocksForgotten, "blocks-forgotten": "A restart forgets who declined or handed back.";
    OffersForgotten, "offers-forgotten": "A restart forgets an offer here and there.";
    NoRelease, "no-release": "The quarantine of a job is never lifted.";
    BlindRoster, "blind-roster": "The search misses every seventh friend.";
    StaleRoster, "stale-roster": "The search finds friends where they stood before they moved.";
    DeafClock, "deaf-clock": "Every twentieth deadline passes unnoticed, and those behind it wait.";
    StreetInOffer, "street-in-offer": "Offers name the street.";
    SwallowedVerdict, "swallowed-verdict": "Every tenth verdict is never sent, however often it is asked for.";
    SwallowedClosing, "swallowed-closing": "Every tenth offer that closes is not told to its friend.";
    WinnerTwice, "winner-twice": "Who was second hears that they have won.";
    NoNight, "no-night": "The server knows no night.";
    ShortUndo, "short-undo": "The seat of a no is given on after a third of the time in which it can be taken back.";
    LateUndo, "late-undo": "Every no that is taken back counts as taken back a minute later.";
    NamedEarly, "named-early": "Whom a customer has named is waited for a third of their time.";
    LongAsk, "long-ask": "Who asks has twice as much longer as they should.";
    LongProposal, "long-proposal": "A proposal stands twice as long as it should.";
    WordsForgotten, "words-forgotten": "A restart forgets questions, proposals and messages.";
    SwallowedReply, "swallowed-reply": "Every third reply of a customer reaches nobody.";
    NeverSeen, "never-seen": "Whatever a friend has seen of a job, they take it as it is now.";
    SlowAccept, "slow-accept": "Accepts take no word, and wait for half a minute before they count.";
    UndoForgotten, "undo-forgotten": "A restart forgets which noes can be taken back.";
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Mutation, String> {
        let found = Mutation::ALL.iter().copied().find(|mutation| mutation.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Mutation::ALL.iter().map(|mutation| mutation.as_str()).collect();
            format!("takes one of {}", names.join(", "))
        })
    }
}
