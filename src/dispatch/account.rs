//! The life of an account: applied → checked → tested → active by what is checked, and the turns that only a human takes,
//! each with a reason. Nothing here limits anybody by itself: a check that fails ends what was passed, and the gates of the
//! communities that ask for it see to the rest.

use std::sync::Arc;

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::directory::{Community, Friend};
use kiez_protocol::people::{CheckResult, PostCheck};
use kiez_protocol::profile::{AGE_YEARS, Account, Certificate, Check, CheckKind};
use kiez_protocol::time::Time;

use super::effect::{AuditRow, By};

const CHECKS: [CheckKind; 5] = [
    CheckKind::Age,
    CheckKind::IdentityAndBackground,
    CheckKind::Knowledge,
    CheckKind::Insurance,
    CheckKind::PartnerCustomer,
];

/// What the friend's communities ask for, all of them together, and has not been passed, or counts no longer.
pub fn missing(friend: &Friend, communities: &[Arc<Community>], now: Time) -> Vec<CheckKind> {
    let asked = |kind: CheckKind| communities.iter().filter(move |community| community.asks(kind));
    let lacks = |kind: &CheckKind| match kind {
        CheckKind::Age => {
            let years = asked(*kind).map(|community| community.age_min.unwrap_or(AGE_YEARS)).max();
            years.is_some_and(|years| !friend.is_aged(years, now))
        }
        // Of which partner the job says.
        CheckKind::PartnerCustomer => {
            let known = !friend.customer_of.is_empty() || friend.has_passed(*kind, now);
            asked(*kind).next().is_some() && !known
        }
        CheckKind::IdentityAndBackground | CheckKind::Knowledge | CheckKind::Insurance => {
            asked(*kind).next().is_some() && !friend.has_passed(*kind, now)
        }
    };
    CHECKS.into_iter().filter(lacks).collect()
}

/// Takes in the result of a check, and moves the account on as far as it now goes. What happened, for the audit log.
pub fn record(friend: &mut Friend, check: &PostCheck, communities: &[Arc<Community>], by: &By) -> Vec<AuditRow> {
    let same = |known: &Check| known.kind == check.kind && known.partner == check.partner;
    friend.checks.retain(|known| !same(known));
    if let Some(word) = &check.certificate {
        friend.certificates.retain(|known| known.certificate != *word);
    }
    let action = match check.result {
        CheckResult::Passed => {
            friend.checks.push(Check {
                kind: check.kind,
                at: by.at,
                by: by.actor.clone(),
                valid_until: check.valid_until,
                evidence_ref: check.evidence_ref.clone(),
                years: check.years,
                partner: check.partner.clone(),
            });
            let certificate = check.certificate.clone();
            friend
                .certificates
                .extend(certificate.map(|certificate| Certificate { certificate, valid_until: check.valid_until }));
            "check_passed"
        }
        CheckResult::Failed => "check_failed",
    };
    let mut row = by.did(action, SubjectKind::Friend, friend.id).with("kind", word(check.kind));
    for (name, value) in [
        ("certificate", check.certificate.as_ref().map(ToString::to_string)),
        ("partner", check.partner.as_ref().map(ToString::to_string)),
        ("evidence_ref", check.evidence_ref.clone()),
        ("valid_until", check.valid_until.map(|until| until.to_string())),
    ] {
        if let Some(value) = value {
            row = row.with(name, value);
        }
    }
    let mut rows = vec![row];
    if check.result == CheckResult::Passed {
        rows.extend(onward(friend, communities, by));
    }
    rows
}

/// Moves an account on from `applied` as far as what is asked for has been passed; one entry a step.
fn onward(friend: &mut Friend, communities: &[Arc<Community>], by: &By) -> Vec<AuditRow> {
    let missing = missing(friend, communities, by.at);
    let (knows, rest) =
        (!missing.contains(&CheckKind::Knowledge), missing.iter().any(|kind| *kind != CheckKind::Knowledge));
    let mut rows = Vec::new();
    loop {
        let (next, action) = match friend.account {
            Account::Applied if !rest => (Account::Checked, "account_checked"),
            Account::Checked if knows => (Account::Tested, "account_tested"),
            // Something that was passed on the way may have ended since.
            Account::Tested if missing.is_empty() => (Account::Active, "account_activated"),
            Account::Applied
            | Account::Checked
            | Account::Tested
            | Account::Active
            | Account::Limited { .. }
            | Account::Suspended { .. }
            | Account::Left => return rows,
        };
        rows.push(moved(friend, action, next, by));
    }
}

/// What a human does with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing new is offered.
    Limit,
    /// May not connect.
    Suspend,
    /// Active again.
    Reinstate,
    /// Ends it.
    Leave,
}

/// The account's state does not allow this turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNow {
    /// Where it stands.
    pub state: &'static str,
    /// From where the turn may be taken.
    pub from: &'static [&'static str],
}

impl Turn {
    fn from(self) -> &'static [&'static str] {
        match self {
            Turn::Limit => &["active"],
            Turn::Suspend => &["active", "limited"],
            Turn::Reinstate => &["limited", "suspended"],
            Turn::Leave => &["applied", "checked", "tested", "active", "limited", "suspended"],
        }
    }
}

/// A human turns an account, with a reason.
///
/// # Errors
/// [`NotNow`] where its state does not allow that.
pub fn turn(friend: &mut Friend, turn: Turn, reason: &str, by: &By) -> Result<Vec<AuditRow>, NotNow> {
    let state = friend.account.as_str();
    if !turn.from().contains(&state) {
        return Err(NotNow { state, from: turn.from() });
    }
    let told = || reason.to_owned();
    let (action, to) = match turn {
        Turn::Limit => ("friend_limited", Account::Limited { reason: told() }),
        Turn::Suspend => ("friend_suspended", Account::Suspended { reason: told() }),
        Turn::Reinstate => ("friend_reinstated", Account::Active),
        Turn::Leave => ("friend_left", Account::Left),
    };
    Ok(vec![moved(friend, action, to, by).because(reason)])
}

fn moved(friend: &mut Friend, action: &'static str, to: Account, by: &By) -> AuditRow {
    let row = by.did(action, SubjectKind::Friend, friend.id);
    let row = row.with("from", friend.account.as_str()).with("to", to.as_str());
    friend.account = to;
    row
}

fn word(kind: CheckKind) -> &'static str {
    match kind {
        CheckKind::Age => "age",
        CheckKind::IdentityAndBackground => "identity_and_background",
        CheckKind::Knowledge => "knowledge",
        CheckKind::Insurance => "insurance",
        CheckKind::PartnerCustomer => "partner_customer",
    }
}
