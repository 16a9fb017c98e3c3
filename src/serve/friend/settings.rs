//! What friends set themselves. Each field is tried on the profile as it is stored, by the rules of an import; what does
//! not fit is refused with its reason, the rest is taken. The answer comes after the commit, and the roster follows before
//! it: the next choice goes by it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiez_protocol::audit::{AuditRole, SubjectKind};
use kiez_protocol::directory::Friend;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{FriendId, Key};
use kiez_protocol::money::Currency;
use kiez_protocol::people::{RefusedSetting, SettingReason, Settings};
use kiez_protocol::refusal::Code;

use super::super::App;
use super::session::Session;
use crate::dispatch::effect::By;
use crate::import;
use crate::ledger::RegistryError;

/// The fields that were taken, and those that were not.
type Outcome = (Vec<String>, Vec<RefusedSetting>);

impl Session {
    /// Takes settings, one frame at a time: two at once would come to the ledger in an order that nobody has chosen.
    pub(super) fn settings(&mut self, settings: Box<Settings>, key: Option<Key>) {
        if self.setting.swap(true, Ordering::AcqRel) {
            return self.refuse(Code::TooMany, key, None, "error.too_many");
        }
        let free = Free(self.setting.clone());
        let (app, outbox, friend) = (self.app.clone(), self.outbox.clone(), self.friend());
        self.app.tasks.spawn(async move {
            let message = match store(&app, friend, *settings).await {
                Ok((accepted, refused)) => FriendMessage::SettingsResult { key, accepted, refused },
                Err(error) => {
                    tracing::warn!(%friend, why = error.facts(), "settings could not be stored");
                    let (code, message_key) = (Code::Unavailable, "error.try_again".to_owned());
                    FriendMessage::Error { code, key, offer: None, job: None, message_key, allowed: Vec::new() }
                }
            };
            drop(free);
            outbox.push(message, true);
        });
    }
}

/// Whoever drops it lets the next settings in.
struct Free(Arc<AtomicBool>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

async fn store(app: &Arc<App>, friend: FriendId, settings: Settings) -> Result<Outcome, RegistryError> {
    let by = By { actor: friend.to_string(), role: AuditRole::Friend, at: app.clock.now() };
    let newest = app.clone();
    let stored = app.registry.change_friend(friend, move |profile| {
        let outcome = take(profile, &settings, &currencies(&newest, profile));
        let mut rows = Vec::new();
        if !outcome.0.is_empty() {
            // Which fields, and not what they say: an anchor is a home.
            let row = by.did("settings_changed", SubjectKind::Friend, friend);
            rows.push(row.with("fields", outcome.0.join(" ")));
        }
        Ok::<_, Infallible>((rows, outcome))
    });
    let Ok((_, _, outcome)) = stored.await?;
    app.refresh_directory().await?;
    Ok(outcome)
}

/// The currencies in which a friend's communities pay.
fn currencies(app: &App, friend: &Friend) -> BTreeSet<&'static str> {
    let found = friend.communities.iter().filter_map(|slug| app.live.directory.community(slug));
    found.map(|(community, _)| community.currency.code()).collect()
}

/// Tries field by field.
fn take(profile: &mut Friend, settings: &Settings, currencies: &BTreeSet<&'static str>) -> Outcome {
    let Settings { rate, radius_m, anchors, availability, caps, languages, focus, listed, .. } = settings.clone();
    let pays = |currency: Currency| currencies.contains(currency.code());
    let foreign_rate = rate.is_some_and(|rate| !pays(rate.currency));
    let foreign_cap = caps.iter().flatten().filter_map(|cap| cap.income).any(|income| !pays(income.currency));
    let mut fields = Fields { profile, accepted: Vec::new(), refused: Vec::new() };
    fields.set("rate", "hourly_rate", rate, foreign_rate, |friend, rate| friend.hourly_rate = Some(rate));
    fields.set("radius_m", "radius_m", radius_m, false, |friend, radius| friend.radius_m = radius);
    fields.set("anchors", "anchors", anchors, false, |friend, anchors| friend.anchors = anchors);
    fields.set("availability", "availability", availability, false, |friend, hours| friend.availability = hours);
    fields.set("caps", "caps", caps, foreign_cap, |friend, caps| friend.caps = caps);
    fields.set("languages", "languages", languages, false, |friend, languages| friend.languages = languages);
    fields.set("focus", "focus", focus, false, |friend, focus| friend.focus = focus);
    fields.set("listed", "listed", listed, false, |friend, listed| friend.listed = listed);
    let Fields { accepted, mut refused, .. } = fields;
    for (field, wanted) in [
        ("name", settings.name),
        ("description", settings.description),
        ("tier", settings.tier),
        ("skills", settings.skills),
        ("certificates", settings.certificates),
        ("checks", settings.checks),
        ("communities", settings.communities),
        ("country", settings.country),
        ("jobs_held_max", settings.jobs_held_max),
        ("account", settings.account),
    ] {
        if wanted.is_some() {
            refused.push(RefusedSetting { field: field.to_owned(), reason: SettingReason::Checked, detail: None });
        }
    }
    (accepted, refused)
}

struct Fields<'p> {
    profile: &'p mut Friend,
    accepted: Vec<String>,
    refused: Vec<RefusedSetting>,
}

impl Fields<'_> {
    /// Sets a field if it is named and fits; `path` is what the faults of an import call it.
    fn set<T>(
        &mut self,
        field: &str,
        path: &str,
        value: Option<T>,
        is_foreign: bool,
        set: impl FnOnce(&mut Friend, T),
    ) {
        let Some(value) = value else { return };
        let mut tried = self.profile.clone();
        set(&mut tried, value);
        let of_this = |what: &String| {
            let param = what.split(':').next().unwrap_or_default();
            param == path || param.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
        };
        let fault = import::friend_faults(&tried).into_iter().find(of_this);
        let (reason, detail) = match (fault, is_foreign) {
            (Some(what), _) => {
                (SettingReason::Unfit, Some(what.split_once(": ").map_or(what.clone(), |(_, takes)| takes.to_owned())))
            }
            (None, true) => (SettingReason::Currency, None),
            (None, false) => {
                *self.profile = tried;
                return self.accepted.push(field.to_owned());
            }
        };
        self.refused.push(RefusedSetting { field: field.to_owned(), reason, detail });
    }
}
