//! What admins maintain: communities with their policy, packages, friends, partners. The same documents come by
//! `PUT /v1/admin/…` and, one a line with a `kind`, by `kiez import`. Each change of a community or package makes a new
//! version; a job keeps the versions it was posted under.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hours::{Hours, QuietHours};
use crate::ids::{CommunitySlug, FriendId, PackageSlug, PartnerSlug, Word};
use crate::money::{Currency, Money, PaymentMethod};
use crate::place::Area;
use crate::profile::{self, Account, Anchor, Block, Cap, Certificate, Check, CheckKind};
use crate::time::Time;

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

impl Language {
    /// The name on the wire, ISO 639-1.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::De => "de",
            Language::En => "en",
            Language::Fr => "fr",
            Language::It => "it",
            Language::Pl => "pl",
        }
    }
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
    /// The rule that takes over, and when; at most 8 follow one another, each later than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<NextCommission>>,
}

/// A commission rule with the date from which it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NextCommission {
    /// Jobs posted then or later go by it.
    pub from: Time,
    /// The rule.
    pub rule: CommissionRule,
}

impl CommissionRule {
    /// A rule that nothing follows.
    pub fn new(id: Word, basis_points: u16) -> CommissionRule {
        CommissionRule { id, basis_points, next: None }
    }

    /// The rule by which a job goes that is posted now: this one or the last of those that have taken over; alone.
    pub fn at(&self, now: Time) -> CommissionRule {
        let mut rule = self;
        while let Some(next) = rule.next.as_ref().filter(|next| next.from <= now) {
            rule = &next.rule;
        }
        CommissionRule::new(rule.id.clone(), rule.basis_points)
    }
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
    /// The checks its friends must have passed. `partner_customer` here is the same as the field of this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckKind>,
    /// Its friends must be proven to be at least so many years old, 14 to 99. Without it 18 where `age` is among `checks`,
    /// else any age.
    #[cfg_attr(feature = "schemas", schemars(range(min = 14, max = 99)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_min: Option<u8>,
    /// Friends of another country who may be asked. Without a pair a friend's country is the job's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross_border: Vec<CountryPair>,
    /// Where its jobs are; without it anywhere in its country. A job outside is refused and noted on the waitlist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
    /// The brake: no new offers while it is on; what is out can be accepted. Of the newest version, whatever its policy's
    /// dates say, and for open jobs too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub brake: bool,
    /// When and how widely friends are asked.
    #[serde(default)]
    pub policy: Policy,
}

/// Friends of one country who may be asked for jobs in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CountryPair {
    /// Theirs.
    pub friend: Country,
    /// The job's.
    pub job: Country,
}

impl Community {
    /// A community with everything that can be left out left out: in its country's time zone, for its own friends.
    pub fn new(
        slug: CommunitySlug,
        brand: &str,
        country: Country,
        currency: Currency,
        rule: CommissionRule,
    ) -> Community {
        Community {
            slug,
            brand: brand.to_owned(),
            country,
            currency,
            time_zone: country.time_zone().to_owned(),
            crowd: Crowd::default(),
            commission: rule,
            partner_customer: false,
            checks: Vec::new(),
            age_min: None,
            cross_border: Vec::new(),
            area: None,
            brake: false,
            policy: Policy::default(),
        }
    }

    /// Whether it asks for this check.
    pub fn asks(&self, kind: CheckKind) -> bool {
        self.checks.contains(&kind)
            || match kind {
                CheckKind::Age => self.age_min.is_some(),
                CheckKind::PartnerCustomer => self.partner_customer,
                CheckKind::IdentityAndBackground | CheckKind::Knowledge | CheckKind::Insurance => false,
            }
    }

    /// Whether a friend of this country may be asked for its jobs.
    pub fn takes_from(&self, country: Country) -> bool {
        country == self.country || self.cross_border.contains(&CountryPair { friend: country, job: self.country })
    }
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
    /// Dispatch is held and the customer asked to say more when so many friends have declined as too vague, 1 to 16.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 16)))]
    pub vague_max: u8,
    /// Questions of one friend about one job, 0 to 8.
    #[cfg_attr(feature = "schemas", schemars(range(max = 8)))]
    pub questions_max: u8,
    /// Who asks has so much longer to decide, once an offer, ms, 0 to an hour.
    #[cfg_attr(feature = "schemas", schemars(range(min = 0, max = 3_600_000)))]
    pub ask_extends_ms: i64,
    /// A proposal can be confirmed for so long and keeps its friend's seat meanwhile, ms, a minute to a day.
    #[cfg_attr(feature = "schemas", schemars(range(min = 60_000, max = 86_400_000)))]
    pub proposal_ms: i64,
    /// A friend whom the customer has named holds the only offer for so long, ms, a minute to a day.
    #[cfg_attr(feature = "schemas", schemars(range(min = 60_000, max = 86_400_000)))]
    pub direct_ms: i64,
    /// Messages between the customer and friends that are kept for one job, 0 to 1,000; no more are taken.
    #[cfg_attr(feature = "schemas", schemars(range(max = 1_000)))]
    pub messages_max: u16,
    /// Who let the contact clock run out is asked for no job for so long, ms, 0 to 30 days.
    #[cfg_attr(feature = "schemas", schemars(range(min = 0, max = 2_592_000_000_i64)))]
    pub cool_down_ms: i64,
    /// How many metres a rating may change a friend's distance by in the ranking, 0 to 2,000; 0: ratings do not count. Of no
    /// effect until friends have ratings.
    #[cfg_attr(feature = "schemas", schemars(range(max = 2_000)))]
    pub rating_metres: u32,
    /// One seat of each wave goes to the friend near by who has waited longest for an offer.
    pub fairness_seat: bool,
    /// How far that seat reaches, in percent of the distance of the last of the nearest, 100 to 1,000.
    #[cfg_attr(feature = "schemas", schemars(range(min = 100, max = 1_000)))]
    pub fairness_reach_percent: u16,
    /// Ops hear of a friend who has waited for their first offer for so many days, 0 to 365; 0: never. An alarm, not a
    /// promise.
    #[cfg_attr(feature = "schemas", schemars(range(max = 365)))]
    pub first_offer_days: u16,
    /// As `first_offer_days`, for a friend who was offered something before.
    #[cfg_attr(feature = "schemas", schemars(range(max = 365)))]
    pub next_offer_days: u16,
    /// Hours in which nobody is offered anything and the clocks of waves and offers stand, but for urgent jobs; in the
    /// community's time zone. `null`: none.
    pub quiet: Option<QuietHours>,
    /// For so long a decline can be taken back, and its seat stays empty, ms, 0 to 600,000; 0: never, and the seat is given
    /// on at once.
    #[cfg_attr(feature = "schemas", schemars(range(min = 0, max = 600_000)))]
    pub undo_ms: i64,
    /// Jobs posted before this go by an older version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Time>,
    /// Jobs posted then or later go by another version, and are refused where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
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
            vague_max: 2,
            questions_max: 2,
            ask_extends_ms: 10 * MINUTE,
            proposal_ms: 30 * MINUTE,
            direct_ms: 2 * HOUR,
            messages_max: 200,
            cool_down_ms: 24 * HOUR,
            rating_metres: 0,
            fairness_seat: true,
            fairness_reach_percent: 150,
            first_offer_days: 7,
            next_offer_days: 14,
            quiet: Some(QuietHours::NIGHT),
            undo_ms: 30 * SECOND,
            valid_from: None,
            valid_until: None,
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

impl Policy {
    /// Whether jobs posted now go by it.
    pub fn is_valid(&self, now: Time) -> bool {
        self.valid_from.is_none_or(|from| from <= now) && profile::counts(self.valid_until, now)
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

/// Where a package's work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// At the customer's.
    #[default]
    OnSite,
    /// By telephone or over the network: no distance is too far.
    Remote,
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
    /// Certificates the friend must have, each of them valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Word>,
    /// Who does it.
    #[serde(default)]
    pub tier: Tier,
    /// Where it is done.
    #[serde(default, skip_serializing_if = "is_on_site")]
    pub site: Site,
    /// How hard it is, 1 to 5, for people to know; no gate.
    #[cfg_attr(feature = "schemas", schemars(range(min = 1, max = 5)))]
    #[serde(default = "complexity", skip_serializing_if = "is_simple")]
    pub complexity: u8,
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

impl Package {
    /// A package with everything that can be left out left out: on site, of an hour, for any friend, without questions.
    pub fn new(slug: PackageSlug, title: Texts, category: Word, pricing: Pricing) -> Package {
        Package {
            slug,
            title,
            category,
            communities: Vec::new(),
            skills: Vec::new(),
            certificates: Vec::new(),
            tier: Tier::default(),
            site: Site::default(),
            complexity: complexity(),
            duration_min: 60,
            pricing,
            questions: Vec::new(),
            payment_methods: Vec::new(),
        }
    }
}

/// A friend as the directory knows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Where the account stands; only an active one is offered anything.
    #[serde(default, alias = "active", deserialize_with = "profile::account")]
    pub account: Account,
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
    /// The checks they have passed, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The certificates they have, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// When they have time, week by week, in the local time of their country; at most 32. Who is not on duty is asked only
    /// for jobs whose wish windows meet it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub availability: Vec<Hours>,
    /// Where they stand while no fresh position is known, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<Anchor>,
    /// How much they want to do at most, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<Cap>,
    /// Whose jobs they are not asked for, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Block>,
    /// The organisation they work for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Word>,
    /// The skills they like best, at most 8; for their card, no gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub focus: Vec<Word>,
    /// Who they are and what they like to do, in their words, for their card; at most 600 characters.
    #[cfg_attr(feature = "schemas", schemars(length(max = 600), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// They want to be found by a partner's page: card and distance band, never a position.
    #[serde(default, skip_serializing_if = "is_false")]
    pub listed: bool,
    /// Their own phone number, in international form: who is the customer is not asked. Never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Their own e-mail address, for the same. Never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
fn is_on_site(site: &Site) -> bool {
    *site == Site::OnSite
}
fn complexity() -> u8 {
    1
}
fn is_simple(complexity: &u8) -> bool {
    *complexity == 1
}
fn own_radius_m() -> u32 {
    30_000
}
fn jobs_held_max() -> u8 {
    3
}

impl Friend {
    /// A friend with everything that can be left out left out: active, with no skill, of no community yet.
    pub fn new(id: FriendId, name: &str, country: Country) -> Friend {
        Friend {
            id,
            subject: None,
            name: name.to_owned(),
            tier: Tier::default(),
            account: Account::default(),
            skills: Vec::new(),
            languages: Vec::new(),
            communities: Vec::new(),
            country,
            radius_m: own_radius_m(),
            hourly_rate: None,
            customer_of: Vec::new(),
            jobs_held_max: jobs_held_max(),
            checks: Vec::new(),
            certificates: Vec::new(),
            availability: Vec::new(),
            anchors: Vec::new(),
            caps: Vec::new(),
            blocks: Vec::new(),
            organisation: None,
            focus: Vec::new(),
            description: None,
            listed: false,
            phone: None,
            email: None,
        }
    }

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
    /// Of a single document that was put: the version under which it is stored, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Of a single document that was put: whether this version is new. One equal to the newest changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
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
        /// Whose it is, as the audit log will name them: 1 to 100 characters; `ops` without it.
        #[cfg_attr(
            feature = "schemas",
            schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00]*\S[^\x00]*$"))
        )]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
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
    pub expires_at: Option<Time>,
}
