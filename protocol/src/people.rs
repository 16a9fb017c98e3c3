//! The life of an account, as admins and ops turn it, and what friends set themselves. An application is a profile; checks
//! and certificates come in as they are passed; a human limits, suspends and reinstates, with a reason.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::audit::AuditEntry;
use crate::directory::{Country, Friend, Language, Tier};
use crate::hours::Hours;
use crate::ids::{CommunitySlug, FriendId, PartnerSlug, Word};
use crate::money::Money;
use crate::place::Cell;
use crate::profile::{Account, Anchor, Cap, CheckKind};
use crate::time::Time;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// They have passed.
    Passed,
    /// They have not; what they had passed before of this kind counts no longer.
    Failed,
}

/// `POST /v1/admin/friends/{id}/checks`: the result of a check, as a person of ops, an identity service or an online test
/// tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PostCheck {
    /// What was checked.
    pub kind: CheckKind,
    /// How it ended.
    pub result: CheckResult,
    /// The certificate that comes with it, or goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Word>,
    /// The check and the certificate count until then; without it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
    /// Where the evidence is, in the words of whoever keeps it: 1 to 200 letters, digits and `. _ : / # -`. Never the
    /// evidence itself.
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

/// A reason, for what needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why, as the friend is told and the audit log keeps it: 1 to 300 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub reason: String,
}

/// `POST /v1/ops/communities/{slug}/brake`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetBrake {
    /// On: no new offers. Off: the open jobs ask on at once.
    pub on: bool,
    /// Why: 1 to 300 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub reason: String,
}

/// Where a brake stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct BrakeView {
    /// Whose.
    pub community: CommunitySlug,
    /// On or off.
    pub on: bool,
    /// The version of the community that says so.
    pub version: u32,
}

/// Where an account stands after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FriendAccount {
    /// Whose.
    pub friend: FriendId,
    /// Where it stands.
    pub account: Account,
    /// The version of the profile.
    pub version: u32,
    /// The checks that their communities ask for and that they have not passed, or not any more.
    pub missing: Vec<CheckKind>,
}

/// A friend in a list of ops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FriendLine {
    /// The id.
    pub id: FriendId,
    /// The name.
    pub name: String,
    /// Neighbour or professional.
    pub tier: Tier,
    /// Where the account stands.
    pub account: Account,
    /// Where they belong.
    pub communities: Vec<CommunitySlug>,
    /// Where they work.
    pub country: Country,
}

/// `GET /v1/ops/friends`: a page, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FriendList {
    /// The friends.
    pub friends: Vec<FriendLine>,
    /// More: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FriendId>,
}

/// What a friend has to do, counted from what is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FriendLoad {
    /// Jobs they hold.
    pub jobs_held: u32,
    /// Offers they hold.
    pub offers_live: u32,
    /// Jobs held or done that were won this month, in their calendar.
    pub jobs_month: u32,
    /// Jobs held or done that were won this year.
    pub jobs_year: u32,
    /// Their net pay of this month, by currency.
    pub income_month: Vec<Money>,
    /// Their net pay of this year, by currency.
    pub income_year: Vec<Money>,
}

/// `GET /v1/ops/friends/{id}`: a friend as ops see them. No position, no anchor, no number or address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct OpsFriend {
    /// The profile, without anchors, blocks, phone and e-mail.
    pub profile: Friend,
    /// Its version.
    pub version: u32,
    /// The checks that their communities ask for and that they have not passed, or not any more.
    pub missing: Vec<CheckKind>,
    /// Whether they are on duty.
    pub on_duty: bool,
    /// `live`, `suspect`, `push_only` or `unreachable`.
    pub reach: String,
    /// What they have to do.
    pub load: FriendLoad,
    /// What was done to their account, newest first; at most 50 entries.
    pub audit: Vec<AuditEntry>,
}

/// `GET /v1/ops/waitlist`: where jobs were wanted outside of the areas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Waitlist {
    /// The cells, those with most requests first; at most 1,000.
    pub cells: Vec<WaitCell>,
}

/// Requests for jobs in one cell outside of a community's area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct WaitCell {
    /// Whose area.
    pub community: CommunitySlug,
    /// Where: an H3 cell of resolution 7, about five square kilometres.
    pub cell: Cell,
    /// How often.
    pub requests: u64,
    /// First.
    pub first_at: Time,
    /// Last.
    pub last_at: Time,
}

/// `GET /v1/admin/…/{slug}/versions`: the versions of a document, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct VersionList {
    /// The versions.
    pub versions: Vec<DocumentVersion>,
}

/// A version of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DocumentVersion {
    /// From 1.
    pub version: u32,
    /// When it was stored, by the database's clock.
    pub stored_at: Time,
    /// Of a community: jobs posted before go by an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Time>,
    /// Of a community: jobs posted then or later go by another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// What a friend sets themselves: what is named is set, the rest stays. A list replaces the one before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Settings {
    /// Their rate an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Money>,
    /// How far they go, metres, 100 to 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius_m: Option<u32>,
    /// Where they stand while no fresh position is known, at most 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchors: Option<Vec<Anchor>>,
    /// When they have time, at most 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<Vec<Hours>>,
    /// How much they want to do at most, at most 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<Cap>>,
    /// What they speak; empty: any language of kiez.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
    /// The skills they like best, at most 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus: Option<Vec<Word>>,
    /// Whether a partner's page may show their card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// Refused: the community checks it. So for those that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communities: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_held_max: Option<Checked>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Checked>,
}

/// Any value of a field that friends do not set themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked;

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Checked {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Checked".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"description": "Any value: it is refused."})
    }
}

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checked, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Checked)
    }
}

impl Serialize for Checked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

/// A setting that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RefusedSetting {
    /// Which.
    pub field: String,
    /// Why.
    pub reason: SettingReason,
    /// What it takes, in English, for who builds apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a setting was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SettingReason {
    /// The community must check it: ask them.
    Checked,
    /// It does not fit what the field takes.
    Unfit,
    /// It is of a currency in which none of their communities pays.
    Currency,
}
