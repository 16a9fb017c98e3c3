//! What a friend's profile holds besides name and skills: where the account stands, what was checked, when and where they
//! are to be had, what they have set themselves. Whatever is left out of a document has its default, so that documents of
//! yesterday stay good.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::directory::Friend;
use crate::hours::{self, Hours};
use crate::ids::{PartnerSlug, Word};
use crate::money::Money;
use crate::place::Point;
use crate::time::Time;

/// Where an account stands: `applied`, `checked`, `tested`, `active` and back to `limited`, `suspended`, `left`. Only an
/// active one is offered anything. A document from before there were states says `"active": true` or `false` instead of
/// `"account": {…}`; false is read as suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Account {
    /// Has asked to join.
    Applied,
    /// What the community asks for has been checked.
    Checked,
    /// The test is passed.
    Tested,
    /// Is offered jobs.
    #[default]
    Active,
    /// Is asked for nothing new for now; may accept the offers they hold, and finish their jobs.
    Limited {
        /// Why, as the friend is told: 1 to 300 characters.
        reason: String,
    },
    /// A human has decided that they are offered nothing and may not connect.
    Suspended {
        /// Why, as the friend is told: 1 to 300 characters.
        reason: String,
    },
    /// Has left.
    Left,
}

impl Account {
    /// The state, as the wire names it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Account::Applied => "applied",
            Account::Checked => "checked",
            Account::Tested => "tested",
            Account::Active => "active",
            Account::Limited { .. } => "limited",
            Account::Suspended { .. } => "suspended",
            Account::Left => "left",
        }
    }

    /// Whether they are offered jobs.
    pub fn is_active(&self) -> bool {
        *self == Account::Active
    }

    /// Whether they may connect: to be offered jobs, or to finish those they hold.
    pub fn may_connect(&self) -> bool {
        match self {
            Account::Active | Account::Limited { .. } => true,
            Account::Applied | Account::Checked | Account::Tested | Account::Suspended { .. } | Account::Left => false,
        }
    }
}

/// An account as it is written. Read by way of this, because serde lets every strange field pass beside a state that has
/// none of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    state: State,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Applied,
    Checked,
    Tested,
    Active,
    Limited,
    Suspended,
    Left,
}

impl Stated {
    fn account(self) -> Result<Account, &'static str> {
        let account = match (self.state, self.reason) {
            (State::Limited, Some(reason)) => return Ok(Account::Limited { reason }),
            (State::Suspended, Some(reason)) => return Ok(Account::Suspended { reason }),
            (State::Limited | State::Suspended, None) => return Err("missing field `reason`"),
            (State::Applied, None) => Account::Applied,
            (State::Checked, None) => Account::Checked,
            (State::Tested, None) => Account::Tested,
            (State::Active, None) => Account::Active,
            (State::Left, None) => Account::Left,
            (State::Applied | State::Checked | State::Tested | State::Active | State::Left, Some(_)) => {
                return Err("`reason` belongs to `limited` and `suspended` alone");
            }
        };
        Ok(account)
    }
}

/// Reads an account as it stands in a document: a state, or the true and false of before.
pub(crate) fn account<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Account, D::Error> {
    struct Either;
    impl<'de> de::Visitor<'de> for Either {
        type Value = Account;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an account such as {\"state\":\"active\"}, or true or false")
        }
        fn visit_bool<E: de::Error>(self, active: bool) -> Result<Account, E> {
            Ok(if active { Account::Active } else { Account::Suspended { reason: "switched off".to_owned() } })
        }
        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Account, A::Error> {
            let stated = Stated::deserialize(de::value::MapAccessDeserializer::new(map))?;
            stated.account().map_err(de::Error::custom)
        }
    }
    deserializer.deserialize_any(Either)
}

/// What can be checked about a friend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// How old they are.
    Age,
    /// Identity card and technical background.
    IdentityAndBackground,
    /// The knowledge test.
    Knowledge,
    /// Liability insurance.
    Insurance,
    /// That they are themselves customers of a partner.
    PartnerCustomer,
}

/// A check that was passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What was checked.
    pub kind: CheckKind,
    /// When.
    pub at: Time,
    /// By whom: a person of ops or an outside service, 1 to 200 characters.
    pub by: String,
    /// It counts until then; without it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
    /// Where the evidence is: 1 to 200 letters, digits and `. _ : / # -`.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9._:/#-]+$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_ref: Option<String>,
    /// `age` only: proven to be at least so many years old, 14 to 99; 18 without it.
    #[cfg_attr(feature = "schemas", schemars(range(min = 14, max = 99)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub years: Option<u8>,
    /// `partner_customer` only, and there it must be: whose customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<PartnerSlug>,
}

/// The age that counts as proven by an age check that names none, and as wanted where a community names none.
pub const AGE_YEARS: u8 = 18;

/// A certificate a friend has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Which: a package names it by the same word.
    pub certificate: Word,
    /// It counts until then; without it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// What an anchor is to the friend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnchorKind {
    /// Where they live.
    Home,
    /// Where they work.
    Work,
}

/// Where a friend stands at some hours while nothing newer is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// What it is.
    pub kind: AnchorKind,
    /// Where.
    pub place: Point,
    /// When, in the local time of the friend's country. Without hours: whenever no anchor with hours holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
}

/// A calendar month or year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// In the local time of the friend's country.
    Month,
    /// In the local time of the friend's country.
    Year,
}

/// How much a friend wants to do in a month or a year, at most: a tax allowance, or their own measure. A job counts in the
/// month and year in which it was won, as long as it is held or was done. kiez gives no tax advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// In which time.
    pub period: Period,
    /// So many jobs, of any currency; without it any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// So much net pay, positive, counting only jobs of this currency; without it any amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub income: Option<Money>,
}

/// Who is kept apart from a friend, by ops or at either's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    /// No job of this partner.
    Partner {
        /// Which.
        partner: PartnerSlug,
        /// Until then; without it for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// No job of the customer with this phone number.
    Customer {
        /// In international form; only its digits count.
        phone: String,
        /// Until then; without it for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
}

impl Friend {
    /// Whether a check of this kind is passed and still counts. For `partner_customer` with any partner.
    pub fn has_passed(&self, kind: CheckKind, now: Time) -> bool {
        self.checks.iter().any(|check| check.kind == kind && counts(check.valid_until, now))
    }

    /// Whether they are proven to be at least so many years old.
    pub fn is_aged(&self, years: u8, now: Time) -> bool {
        let ages = self.checks.iter().filter(|check| check.kind == CheckKind::Age && counts(check.valid_until, now));
        ages.map(|check| check.years.unwrap_or(AGE_YEARS)).any(|proven| proven >= years)
    }

    /// Whether they are themselves a customer of this partner.
    pub fn is_customer_of(&self, partner: &PartnerSlug, now: Time) -> bool {
        let mut checks = self.checks.iter().filter(|check| check.kind == CheckKind::PartnerCustomer);
        self.customer_of.contains(partner)
            || checks.any(|check| check.partner.as_ref() == Some(partner) && counts(check.valid_until, now))
    }

    /// Whether they have this certificate and it still counts.
    pub fn is_certified(&self, certificate: &Word, now: Time) -> bool {
        self.certificates.iter().any(|has| has.certificate == *certificate && counts(has.valid_until, now))
    }

    /// Where they stand at this instant while nothing newer is known: the first anchor whose hours hold, else the first
    /// without hours.
    pub fn anchor_at(&self, at: Time) -> Option<&Anchor> {
        let held = |anchor: &&Anchor| anchor.hours.iter().any(|hours| hours.hold(self.country, at));
        self.anchors.iter().find(held).or_else(|| self.anchors.iter().find(|anchor| anchor.hours.is_empty()))
    }

    /// When [`Friend::anchor_at`] may give another answer, after `after`; none where it never does.
    pub fn anchor_changes(&self, after: Time) -> Option<Time> {
        hours::next_change(self.anchors.iter().flat_map(|anchor| &anchor.hours), self.country, after)
    }

    /// Whether their weekly calendar has time between these instants.
    pub fn has_time(&self, from: Time, to: Time) -> bool {
        hours::meet(&self.availability, self.country, from, to)
    }

    /// When the present period of a cap began, in the friend's calendar.
    pub fn period_began(&self, period: Period, now: Time) -> Option<Time> {
        match period {
            Period::Month => hours::month_began(self.country, now),
            Period::Year => hours::year_began(self.country, now),
        }
    }
}

/// Whether what ends then, if ever, counts now.
pub fn counts(until: Option<Time>, now: Time) -> bool {
    until.is_none_or(|until| now < until)
}
