//! What admins maintain: communities with their policy, packages, friends, partners. The same documents come by
//! `PUT /v1/admin/…` and, one a line with a `kind`, by `kiez import`. Each change of a community or package makes a new
//! version; a job keeps the versions it was posted under.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CommunitySlug, FriendId, PackageSlug, PartnerSlug, Word};
use crate::money::{Currency, Money, PaymentMethod};

/// The languages of kiez.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// German.
    #[default]
    De,
    /// English.
    En,
    /// French.
    Fr,
    /// Italian.
    It,
    /// Polish.
    Pl,
}

/// The countries kiez serves, ISO 3166-1 alpha-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Country {
    /// Switzerland.
    Ch,
    /// Germany.
    De,
    /// Austria.
    At,
    /// Poland.
    Pl,
}

/// Who helps: a neighbour or a professional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A neighbour with another occupation.
    #[default]
    Friend,
    /// A professional; joins friend packages only at a later wave.
    Pro,
}

/// A text in the five languages. German and English are required; a missing one falls back to English.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// German.
    pub de: String,
    /// English.
    pub en: String,
    /// French.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fr: Option<String>,
    /// Italian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub it: Option<String>,
    /// Polish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pl: Option<String>,
}

impl Texts {
    /// The text in `language`, or in English where it is missing.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::De => &self.de,
            Language::En => &self.en,
            Language::Fr => self.fr.as_deref().unwrap_or(&self.en),
            Language::It => self.it.as_deref().unwrap_or(&self.en),
            Language::Pl => self.pl.as_deref().unwrap_or(&self.en),
        }
    }
}

/// Whose friends are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Crowd {
    /// Only the community's own friends.
    #[default]
    Own,
    /// The community's own first; from the plan's `crowd_joins_wave` everybody.
    OwnThenAll,
    /// Everybody from the first wave.
    All,
}

/// A commission rule: what the platform keeps of the gross price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommissionRule {
    /// The rule's id, stored with each job that used it.
    pub id: Word,
    /// Share of the price in hundredths of a percent, 0 to 10,000.
    #[cfg_attr(feature = "schemas", schemars(range(max = 10_000)))]
    pub basis_points: u16,
}

/// A community: a crowd with a brand and rules of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Community {
    /// The name on the wire.
    pub slug: CommunitySlug,
    /// The brand that friends and customers see.
    pub brand: String,
    /// The country of its jobs.
    pub country: Country,
    /// The currency of its prices.
    pub currency: Currency,
    /// IANA time zone in which its hours are meant: `Europe/Berlin`.
    pub time_zone: String,
    /// Whose friends are asked.
    #[serde(default)]
    pub crowd: Crowd,
    /// The commission where the partner has no rule of its own.
    pub commission: CommissionRule,
    /// Only friends who are themselves customers of the job's partner.
    #[serde(default)]
    pub partner_customer: bool,
    /// When and how widely friends are asked.
    #[serde(default)]
    pub policy: Policy,
}

/// How jobs of a community are dispatched. Every number is a default of the policy; the defaults are those of the trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Offers of one wave that are out at once (k), 1 to 16.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 16)))]
    pub seats: u8,
    /// Live offers one friend may hold, 1 to 16. Renewed offers of unfilled jobs do not count.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 16)))]
    pub hand_max: u8,
    /// A friend's offer counts as undelivered without an acknowledgement after this many ms, at least 1,000. Real time,
    /// however fast the trade's runs: networks do not hurry.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1_000)))]
    pub delivery_ms: i64,
    /// The contact clock: ms from the win to the first contact with the customer, at least 60,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 60_000)))]
    pub contact_ms: i64,
    /// Grace after the contact clock before the job is handed back, ms, not negative.
    #[cfg_attr(feature = "schemas", schemars(range(min = 0)))]
    pub contact_grace_ms: i64,
    /// A job may be handed back this often, by whomever; once more and it is unfilled. 0 to 255.
    pub hand_backs_max: u8,
    /// Today.
    pub urgent: WavePlan,
    /// The usual.
    pub normal: WavePlan,
    /// More than three days ahead.
    pub relaxed: WavePlan,
}

/// The timing and reach of a job's waves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WavePlan {
    /// Silence after which the next wave opens, ms, at least 1,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1_000)))]
    pub interval_ms: i64,
    /// How long an offer is valid, ms, at least 1,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1_000)))]
    pub offer_valid_ms: i64,
    /// Waves at most, 1 to 32; friends asked at most is this times the seats.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 32)))]
    pub waves: u8,
    /// The distance cap of each wave in metres, rising, at most 200,000; later waves use the last.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1), inner(range(max = 200_000))))]
    pub caps_m: Vec<u32>,
    /// The wave at which pros join the jobs of friends, from 1.
    pub pros_join_wave: u8,
    /// The wave at which the whole crowd joins in `own_then_all`, from 1.
    pub crowd_joins_wave: u8,
    /// Ops hear of a job without a winner after this many ms, at least 1,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1_000)))]
    pub alarm_ms: i64,
    /// A job without a winner expires after this many ms, at least `offer_valid_ms`; 0: at the end of its last wish window.
    #[cfg_attr(feature = "schemas", schemars(range(min = 0)))]
    pub expire_ms: i64,
}

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

impl Default for Policy {
    fn default() -> Self {
        // 3.8 km: five U-Bahn stops in Berlin, for nine in ten pairs of stations (VBB timetable).
        let near = vec![3_800, 8_000, 15_000, 30_000];
        Policy {
            seats: 4,
            hand_max: 3,
            delivery_ms: 10 * SECOND,
            contact_ms: 12 * HOUR,
            contact_grace_ms: 30 * MINUTE,
            hand_backs_max: 3,
            urgent: WavePlan {
                interval_ms: 90 * SECOND,
                offer_valid_ms: 10 * MINUTE,
                waves: 8,
                caps_m: near.clone(),
                pros_join_wave: 2,
                crowd_joins_wave: 2,
                alarm_ms: 10 * MINUTE,
                expire_ms: 0,
            },
            normal: WavePlan {
                interval_ms: 3 * MINUTE,
                offer_valid_ms: 30 * MINUTE,
                waves: 6,
                caps_m: near,
                pros_join_wave: 4,
                crowd_joins_wave: 3,
                alarm_ms: 30 * MINUTE,
                expire_ms: 72 * HOUR,
            },
            relaxed: WavePlan {
                interval_ms: 15 * MINUTE,
                offer_valid_ms: 6 * HOUR,
                waves: 6,
                caps_m: vec![8_000, 15_000, 30_000],
                pros_join_wave: 4,
                crowd_joins_wave: 3,
                alarm_ms: 12 * HOUR,
                expire_ms: 7 * 24 * HOUR,
            },
        }
    }
}

/// A skill a package needs, or a friend has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SkillLevel {
    /// Which skill.
    pub skill: Word,
    /// 1 (can do it) to 5 (teaches it).
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 5)))]
    pub level: u8,
}

/// What kind of answer a question takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum AnswerKind {
    // Braces without fields: serde lets every strange field pass beside a variant that has none.
    /// Free text of at most 500 characters.
    Text {},
    /// A whole number, `min` to `max`.
    Number {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Yes or no.
    YesNo {},
    /// One of the options.
    Choice {
        /// The options, as they come in the answer.
        options: Vec<String>,
    },
}

/// A question the customer answers when booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The name of the answer in `answers`.
    pub name: Word,
    /// The question as asked.
    pub text: Texts,
    /// What kind of answer it takes.
    pub answer: AnswerKind,
    /// Nothing is dispatched while a required answer is missing.
    #[serde(default)]
    pub required: bool,
    /// Shown in the offer (with contact data filtered); otherwise only the winner sees it.
    #[serde(default)]
    pub in_offer: bool,
}

/// What a package costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Pricing {
    /// One price.
    Fixed {
        /// The price, 1 to 100,000,000 minor units.
        #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
        price: Money,
    },
    /// A range: offered at its lower end, open upward by consent.
    Guide {
        /// The lower end, 1 to 100,000,000 minor units.
        #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
        from: Money,
        /// The upper end, in the same currency, not below `from`.
        #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
        to: Money,
    },
    /// The friend's own hourly rate for the planned minutes, billed per started 15 minutes.
    Hourly {
        /// The least rate an hour, 1 to 100,000,000 minor units.
        #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
        from: Money,
        /// The highest rate an hour, in the same currency, not below `from`.
        #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
        to: Money,
    },
}

impl Pricing {
    /// The currency of the price.
    pub fn currency(&self) -> Currency {
        match self {
            Pricing::Fixed { price } => price.currency,
            Pricing::Guide { from, .. } | Pricing::Hourly { from, .. } => from.currency,
        }
    }
}

/// A bookable service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The name on the wire.
    pub slug: PackageSlug,
    /// What people call it.
    pub title: Texts,
    /// What it belongs to: `wifi`, `tv`, `computer`.
    pub category: Word,
    /// The communities that offer it; empty: all of the currency.
    #[serde(default)]
    pub communities: Vec<CommunitySlug>,
    /// Skills the friend must have, each with its least level.
    #[serde(default)]
    pub skills: Vec<SkillLevel>,
    /// Who does it.
    #[serde(default)]
    pub tier: Tier,
    /// Planned time on site, minutes, 5 to 480.
    #[cfg_attr(feature = "schemas", schemars(range(min = 5, max = 480)))]
    pub duration_min: u16,
    /// What it costs.
    pub pricing: Pricing,
    /// What the customer is asked; each name stands once.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// How it may be paid; empty: any way.
    #[serde(default)]
    pub payment_methods: Vec<PaymentMethod>,
}

/// A friend as the directory knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Friend {
    /// The id.
    pub id: FriendId,
    /// The name in the identity service's tokens (`sub`), if it is not the id; not empty.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The real name, 1 to 200 characters; shown to the customer after the win, never to other friends.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 200), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub name: String,
    /// Neighbour or professional.
    #[serde(default)]
    pub tier: Tier,
    /// An account that is not active is offered nothing.
    #[serde(default = "yes")]
    pub active: bool,
    /// What they can do.
    #[serde(default)]
    pub skills: Vec<SkillLevel>,
    /// What they speak; empty: any language of kiez.
    #[serde(default)]
    pub languages: Vec<Language>,
    /// Where they belong, at least one.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1)))]
    pub communities: Vec<CommunitySlug>,
    /// Where they work.
    pub country: Country,
    /// How far they go, metres, 100 to 100,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 100, max = 100_000)))]
    #[serde(default = "own_radius_m")]
    pub radius_m: u32,
    /// Their rate an hour, 1 to 100,000,000 minor units, where packages are priced by the hour.
    #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly_rate: Option<Money>,
    /// The partners they are themselves customers of.
    #[serde(default)]
    pub customer_of: Vec<PartnerSlug>,
    /// Jobs they may hold at once, 1 to 20.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 20)))]
    #[serde(default = "jobs_held_max")]
    pub jobs_held_max: u8,
}

fn yes() -> bool {
    true
}
fn own_radius_m() -> u32 {
    30_000
}
fn jobs_held_max() -> u8 {
    3
}

impl Friend {
    /// The level of `skill`, 0 if they do not have it.
    pub fn level(&self, skill: &Word) -> u8 {
        self.skills.iter().find(|has| has.skill == *skill).map_or(0, |has| has.level)
    }
}

/// A company that injects jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Partner {
    /// The name on the wire.
    pub slug: PartnerSlug,
    /// The name people know.
    pub name: String,
    /// The community of a job that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub community: Option<CommunitySlug>,
    /// The commission of its jobs, before that of the community.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<CommissionRule>,
    /// What each of its API keys may ask for, before what the server allows everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<PartnerQuota>,
}

/// What an API key of a partner may ask for. What is not said is as for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartnerQuota {
    /// Jobs posted a second, 1 to 1,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 1_000)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_per_s: Option<u32>,
    /// Jobs posted at once, at least 1.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_burst: Option<u32>,
    /// Requests that are being answered, at least 1.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<u32>,
}

/// One line of an import file: the document and its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImportLine {
    /// `{"kind":"community", …}`.
    Community(Community),
    /// `{"kind":"package", …}`.
    Package(Package),
    /// `{"kind":"friend", …}`.
    Friend(Friend),
    /// `{"kind":"partner", …}`.
    Partner(Partner),
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ImportReport {
    /// Documents taken in, by kind.
    pub imported: BTreeMap<String, u32>,
}

/// `POST /v1/admin/tokens`: who the token is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenRequest {
    /// A friend's token.
    Friend {
        /// Whose.
        friend: FriendId,
        /// How long it is valid, minutes, 1 to 525,600; the server's `auth.token_minutes` without it.
        #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 525_600)))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minutes: Option<u32>,
    },
    /// A token for the ops map and API.
    Ops {
        /// What it may do.
        role: OpsRole,
        /// How long it is valid, minutes, 1 to 525,600; the server's `auth.token_minutes` without it.
        #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 525_600)))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minutes: Option<u32>,
    },
    /// A partner's API key. It is shown once; only its hash is kept.
    Partner {
        /// Whose.
        partner: PartnerSlug,
    },
}

/// The roles of ops, each with what the one before may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OpsRole {
    /// Looks at the map.
    Viewer,
    /// Acts on jobs.
    Dispatcher,
    /// Maintains the directory.
    Admin,
}

/// The answer to [`TokenRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct TokenView {
    /// The token or key, to be kept secret.
    pub token: String,
    /// When it ends; partner keys do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<crate::time::Time>,
}
