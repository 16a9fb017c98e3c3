//! Import lines before they are taken: parsed line by line, checked for what their types cannot say, service areas cut into
//! cells. Used by the admin API and by `kiez import`.

mod area;

use kiez_protocol::directory::{CommissionRule, Community, Friend, ImportLine, Package, Policy, Pricing, WavePlan};
use kiez_protocol::hours::Hours;
use kiez_protocol::money::PRICE_MAX;
use kiez_protocol::people::PostCheck;
use kiez_protocol::profile::{Account, Anchor, Block, Cap, Check, CheckKind};
use kiez_protocol::time::Time;

/// A line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFault {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
    /// It is longer than a line may be; nothing else is known of it.
    pub is_too_long: bool,
}

/// Reads NDJSON; empty lines are passed over.
///
/// # Errors
/// Every line that does not fit, with what is wrong.
pub fn parse(text: &str, line_bytes_max: usize) -> Result<Vec<ImportLine>, Vec<LineFault>> {
    let (mut lines, mut numbers, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (index, text) in text.lines().enumerate() {
        let number = index + 1;
        if text.len() > line_bytes_max {
            let what = format!("has more than {line_bytes_max} bytes");
            faults.push(LineFault { line: number, what, is_too_long: true });
            continue;
        }
        match line(number, text) {
            None => {}
            Some(Ok(document)) => {
                lines.push(document);
                numbers.push(number);
            }
            Some(Err(fault)) => faults.push(fault),
        }
    }
    for (index, what) in settle(&mut lines) {
        faults.push(LineFault { line: numbers[index], what, is_too_long: false });
    }
    if faults.is_empty() {
        Ok(lines)
    } else {
        faults.sort_by_key(|fault| fault.line);
        Err(faults)
    }
}

/// Reads one line of NDJSON, of this number; none where it is empty. What [`settle`] would say of it is not asked yet.
pub fn line(number: usize, text: &str) -> Option<Result<ImportLine, LineFault>> {
    if text.trim().is_empty() {
        return None;
    }
    let read = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text));
    Some(read.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        // The parser saw this line only: which it is, is said already.
        let words = inner.to_string().replace("at line 1 column", "at column");
        let what = match inner.classify() {
            serde_json::error::Category::Data if path == "." => words,
            serde_json::error::Category::Data => format!("{path}: {words}"),
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => format!("is not JSON: {words}"),
        };
        LineFault { line: number, what, is_too_long: false }
    }))
}

/// The kind of a line, as it is named in the file.
pub fn kind(line: &ImportLine) -> &'static str {
    match line {
        ImportLine::Community(_) => "community",
        ImportLine::Package(_) => "package",
        ImportLine::Friend(_) => "friend",
        ImportLine::Partner(_) => "partner",
    }
}

/// Brings the lines into the form in which they are kept: service areas become cells. What is wrong with them, each with its
/// place in the list.
pub fn settle(lines: &mut [ImportLine]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (index, line) in lines.iter_mut().enumerate() {
        let mut wrong = |what: &str| faults.push((index, what.to_owned()));
        match line {
            ImportLine::Community(community) => {
                match community.area.as_ref().map(area::cut).transpose() {
                    Ok(area) => community.area = area,
                    Err(what) => wrong(&format!("area: {what}")),
                }
                check_community(community, &mut wrong);
            }
            ImportLine::Package(package) => check_package(package, &mut wrong),
            ImportLine::Friend(friend) => check_friend(friend, &mut wrong),
            ImportLine::Partner(partner) => {
                if let Some(rule) = &partner.commission {
                    check_commission(rule, &mut wrong);
                }
                let quota = partner.quota.unwrap_or_default();
                if quota.jobs_per_s.is_some_and(|rate| !(1..=1_000).contains(&rate)) {
                    wrong("quota.jobs_per_s: takes 1 to 1,000");
                }
                if quota.jobs_burst == Some(0) || quota.in_flight_max == Some(0) {
                    wrong("quota: jobs_burst and in_flight_max take at least 1");
                }
            }
        }
    }
    faults
}

type Wrong<'w> = &'w mut dyn FnMut(&str);

/// As many rules may follow one another.
const COMMISSIONS_MAX: usize = 8;

fn check_commission(first: &CommissionRule, wrong: Wrong<'_>) {
    let (mut rule, mut from, mut follow) = (first, None, 0);
    loop {
        if rule.basis_points > 10_000 {
            wrong("commission.basis_points: takes 0 to 10,000");
        }
        let Some(next) = &rule.next else { return };
        follow += 1;
        if from.is_some_and(|from| next.from <= from) || follow > COMMISSIONS_MAX {
            return wrong(
                "commission.next: at most 8 rules follow one another, each from a later date than the one before",
            );
        }
        (rule, from) = (&next.rule, Some(next.from));
    }
}

fn check_community(community: &Community, wrong: Wrong<'_>) {
    check_commission(&community.commission, wrong);
    if jiff::tz::TimeZone::get(&community.time_zone).is_err() {
        wrong("time_zone: takes an IANA name such as Europe/Berlin");
    }
    if community.age_min.is_some_and(|years| !YEARS.contains(&years)) {
        wrong("age_min: takes 14 to 99 years");
    }
    if community.cross_border.iter().any(|pair| pair.job != community.country || pair.friend == pair.job) {
        wrong("cross_border: a pair names another country of friends, and the community's own as the job's");
    }
    for fault in policy_faults(&community.policy) {
        wrong(&fault);
    }
}

/// What is wrong with a policy, in words.
pub fn policy_faults(policy: &Policy) -> Vec<String> {
    let mut faults = Vec::new();
    let mut wrong = |what: &str| faults.push(what.to_owned());
    if !(1..=16).contains(&policy.seats) {
        wrong("policy.seats: takes 1 to 16");
    }
    if !(1..=16).contains(&policy.hand_max) {
        wrong("policy.hand_max: takes 1 to 16");
    }
    if !(1..=16).contains(&policy.vague_max) {
        wrong("policy.vague_max: takes 1 to 16");
    }
    if policy.questions_max > 8 {
        wrong("policy.questions_max: takes 0 to 8");
    }
    if !(0..=3_600_000).contains(&policy.ask_extends_ms) {
        wrong("policy.ask_extends_ms: takes 0 to 3,600,000 (an hour)");
    }
    for (name, ms) in [("proposal_ms", policy.proposal_ms), ("direct_ms", policy.direct_ms)] {
        if !(60_000..=86_400_000).contains(&ms) {
            wrong(&format!("policy.{name}: takes 60,000 to 86,400,000 (a day)"));
        }
    }
    if policy.messages_max > 1_000 {
        wrong("policy.messages_max: takes 0 to 1,000");
    }
    if policy.delivery_ms < 1_000 || policy.contact_ms < 60_000 || policy.contact_grace_ms < 0 {
        wrong("policy: delivery_ms is at least 1,000, contact_ms at least 60,000, contact_grace_ms not negative");
    }
    if !(0..=30 * 86_400_000).contains(&policy.cool_down_ms) {
        wrong("policy.cool_down_ms: takes 0 to 2,592,000,000 (30 days)");
    }
    if policy.rating_metres > 2_000 {
        wrong("policy.rating_metres: takes 0 to 2,000");
    }
    if policy.quiet.is_some_and(|quiet| !quiet.are_sound()) {
        wrong("policy.quiet: takes two different times of a day, 00:00 to 23:59");
    }
    if !(0..=600_000).contains(&policy.undo_ms) {
        wrong("policy.undo_ms: takes 0 to 600,000");
    }
    if !(100..=1_000).contains(&policy.fairness_reach_percent) {
        wrong("policy.fairness_reach_percent: takes 100 to 1,000");
    }
    if policy.first_offer_days > 365 || policy.next_offer_days > 365 {
        wrong("policy: first_offer_days and next_offer_days take 0 to 365");
    }
    if policy.valid_from.zip(policy.valid_until).is_some_and(|(from, until)| from >= until) {
        wrong("policy.valid_until: is later than valid_from");
    }
    for (name, plan) in [("urgent", &policy.urgent), ("normal", &policy.normal), ("relaxed", &policy.relaxed)] {
        if let Some(what) = plan_fault(plan) {
            wrong(&format!("policy.{name}: {what}"));
        }
    }
    faults
}

fn plan_fault(plan: &WavePlan) -> Option<&'static str> {
    if plan.interval_ms < 1_000 || plan.offer_valid_ms < 1_000 || plan.alarm_ms < 1_000 {
        return Some("interval_ms, offer_valid_ms and alarm_ms are at least 1,000");
    }
    if !(1..=32).contains(&plan.waves) {
        return Some("waves takes 1 to 32");
    }
    if plan.expire_ms != 0 && plan.expire_ms < plan.offer_valid_ms {
        return Some("expire_ms is 0 or at least offer_valid_ms");
    }
    if plan.caps_m.is_empty()
        || plan.caps_m.windows(2).any(|pair| pair[0] >= pair[1])
        || plan.caps_m.iter().any(|cap| *cap > 200_000)
    {
        return Some("caps_m takes one or more rising distances of at most 200,000");
    }
    None
}

fn check_package(package: &Package, wrong: Wrong<'_>) {
    if !(5..=480).contains(&package.duration_min) {
        wrong("duration_min: takes 5 to 480");
    }
    if package.skills.iter().any(|skill| !(1..=5).contains(&skill.level)) {
        wrong("skills: a level is 1 to 5");
    }
    if !(1..=5).contains(&package.complexity) {
        wrong("complexity: takes 1 to 5");
    }
    match &package.pricing {
        Pricing::Fixed { price } => {
            if !(1..=PRICE_MAX).contains(&price.amount) {
                wrong(&format!("pricing.price: takes an amount of 1 to {PRICE_MAX}"));
            }
        }
        Pricing::Guide { from, to } | Pricing::Hourly { from, to } => {
            if from.currency != to.currency || !(1..=to.amount).contains(&from.amount) || to.amount > PRICE_MAX {
                wrong(&format!(
                    "pricing: `from` to `to` is 1 to {PRICE_MAX} in one currency, and `from` not more than `to`"
                ));
            }
        }
    }
    let mut names: Vec<_> = package.questions.iter().map(|question| &question.name).collect();
    names.sort();
    names.dedup();
    if names.len() != package.questions.len() {
        wrong("questions: each name stands once");
    }
}

/// What is wrong with a profile, each with its field.
pub fn friend_faults(friend: &Friend) -> Vec<String> {
    let mut faults = Vec::new();
    check_friend(friend, &mut |what| faults.push(what.to_owned()));
    faults
}

/// What is wrong with the result of a check, as its field and what it takes.
pub fn check_faults(check: &PostCheck, now: Time) -> Vec<(&'static str, &'static str)> {
    let mut faults = Vec::new();
    if check.valid_until.is_some_and(|until| until <= now) {
        faults.push(("valid_until", "is past"));
    }
    if check.evidence_ref.as_ref().is_some_and(|evidence| !is_reference(evidence)) {
        faults.push(("evidence_ref", REFERENCE));
    }
    if check.years.is_some_and(|years| check.kind != CheckKind::Age || !YEARS.contains(&years)) {
        faults.push(("years", "takes 14 to 99, and only an age check has it"));
    }
    if check.partner.is_some() != (check.kind == CheckKind::PartnerCustomer) {
        faults.push(("partner", "a partner_customer check names it, and no other does"));
    }
    faults
}

const REFERENCE: &str = "takes 1 to 200 letters, digits and . _ : / # -";

/// A reference says where something is and not what it says.
fn is_reference(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/#-".contains(c);
    (1..=200).contains(&text.len()) && text.chars().all(fits)
}

fn check_friend(friend: &Friend, wrong: Wrong<'_>) {
    if friend.name.trim().is_empty() || friend.name.chars().count() > 200 || friend.name.contains('\0') {
        wrong("name: takes 1 to 200 characters, none of them NUL");
    }
    if friend.subject.as_ref().is_some_and(|subject| subject.is_empty() || subject.contains('\0')) {
        wrong("subject: takes a text that is not empty, without NUL");
    }
    if friend.communities.is_empty() {
        wrong("communities: a friend belongs to at least one");
    }
    if !(100..=100_000).contains(&friend.radius_m) {
        wrong("radius_m: takes 100 to 100,000");
    }
    if !(1..=20).contains(&friend.jobs_held_max) {
        wrong("jobs_held_max: takes 1 to 20");
    }
    if friend.skills.iter().any(|skill| !(1..=5).contains(&skill.level)) {
        wrong("skills: a level is 1 to 5");
    }
    if friend.hourly_rate.is_some_and(|rate| !(1..=PRICE_MAX).contains(&rate.amount)) {
        wrong(&format!("hourly_rate: takes an amount of 1 to {PRICE_MAX}"));
    }
    check_account(&friend.account, wrong);
    for (name, len, most) in [
        ("checks", friend.checks.len(), 32),
        ("certificates", friend.certificates.len(), 32),
        ("availability", friend.availability.len(), 32),
        ("anchors", friend.anchors.len(), 8),
        ("caps", friend.caps.len(), 8),
        ("blocks", friend.blocks.len(), 64),
        ("focus", friend.focus.len(), 8),
    ] {
        if len > most {
            wrong(&format!("{name}: takes at most {most}"));
        }
    }
    friend.checks.iter().for_each(|check| check_check(check, wrong));
    check_hours("availability", &friend.availability, wrong);
    for Anchor { hours, .. } in &friend.anchors {
        check_hours("anchors.hours", hours, wrong);
        if hours.len() > 32 {
            wrong("anchors.hours: takes at most 32");
        }
    }
    friend.caps.iter().for_each(|cap| check_cap(cap, wrong));
    for block in &friend.blocks {
        if let Block::Customer { phone, .. } = block {
            check_phone("blocks.phone", phone, wrong);
        }
    }
    if let Some(phone) = &friend.phone {
        check_phone("phone", phone, wrong);
    }
    if friend.description.as_ref().is_some_and(|text| text.chars().count() > 600 || text.contains('\0')) {
        wrong("description: takes at most 600 characters, none of them NUL");
    }
    if friend.email.as_ref().is_some_and(|email| !is_said(email, 254) || !email.contains('@')) {
        wrong("email: takes an e-mail address");
    }
}

/// A text of at most so many characters that says something. Postgres has no place for a NUL.
fn is_said(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max && !text.contains('\0')
}

const YEARS: std::ops::RangeInclusive<u8> = 14..=99;

fn check_account(account: &Account, wrong: Wrong<'_>) {
    match account {
        Account::Limited { reason } | Account::Suspended { reason } => {
            if !is_said(reason, 300) {
                wrong("account.reason: takes 1 to 300 characters, none of them NUL");
            }
        }
        Account::Applied | Account::Checked | Account::Tested | Account::Active | Account::Left => {}
    }
}

fn check_check(check: &Check, wrong: Wrong<'_>) {
    if !is_said(&check.by, 200) {
        wrong("checks.by: takes 1 to 200 characters, none of them NUL");
    }
    if check.valid_until.is_some_and(|until| until <= check.at) {
        wrong("checks.valid_until: is later than `at`");
    }
    if check.evidence_ref.as_ref().is_some_and(|evidence| !is_reference(evidence)) {
        wrong(&format!("checks.evidence_ref: {REFERENCE}"));
    }
    if check.years.is_some_and(|years| check.kind != CheckKind::Age || !YEARS.contains(&years)) {
        wrong("checks.years: takes 14 to 99, and only an age check has it");
    }
    if check.partner.is_some() != (check.kind == CheckKind::PartnerCustomer) {
        wrong("checks.partner: a partner_customer check names it, and no other does");
    }
}

fn check_hours(name: &str, hours: &[Hours], wrong: Wrong<'_>) {
    if hours.iter().any(|hours| hours.from >= hours.to) {
        wrong(&format!("{name}: `to` is later than `from`; what goes past midnight is two of them"));
    }
}

fn check_cap(cap: &Cap, wrong: Wrong<'_>) {
    if cap.jobs.is_none() && cap.income.is_none() {
        wrong("caps: a cap limits `jobs` or `income`");
    }
    if cap.income.is_some_and(|income| income.amount <= 0) {
        wrong("caps.income: takes a positive amount");
    }
}

fn check_phone(name: &str, phone: &str, wrong: Wrong<'_>) {
    let digits = phone.chars().filter(char::is_ascii_digit).count();
    if !phone.starts_with('+') || !(6..=15).contains(&digits) || !is_said(phone, 32) {
        wrong(&format!("{name}: takes an international number such as +49301234567"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_line_is_named_and_none_is_taken() {
        let text = concat!(
            "{\"kind\":\"partner\",\"slug\":\"good\",\"name\":\"Good\"}\n",
            "\n",
            "{\"kind\":\"partner\",\"slug\":\"Bad Slug\",\"name\":\"x\"}\n",
            "{\"kind\":\"friend\",\"id\":\"0192f000-0000-7000-8000-000000000001\",\"name\":\"A\",\"communities\":[],\"country\":\"DE\"}\n",
            "not json\n",
        );
        let faults = parse(text, 1_000).expect_err("three are bad");
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(faults[1].what.contains("communities"), "{faults:?}");
        assert_eq!(faults[2].what, "is not JSON: expected ident at column 2");
    }

    #[test]
    fn each_value_that_does_not_fit_is_named_with_what_it_takes() {
        let community = |field: &str| {
            format!(
                "{{\"kind\":\"community\",\"slug\":\"c\",\"brand\":\"C\",\"country\":\"CH\",\"currency\":\"CHF\",\
                 \"time_zone\":\"Europe/Zurich\",\"commission\":{{\"id\":\"ten\",\"basis_points\":1000}},{field}}}"
            )
        };
        let friend = |field: &str| {
            format!(
                "{{\"kind\":\"friend\",\"id\":\"0192f000-0000-7000-8000-000000000001\",\"name\":\"A\",\"country\":\"DE\",\
                 \"communities\":[\"c\"],{field}}}"
            )
        };
        for (line, word) in [
            (community(r#""area":{"type":"Circle","radius":5}"#), "Circle"),
            (community(r#""area":{"type":"Cells","cells":["8"]}"#), "hexadecimal"),
            (community(r#""area":{"type":"Cells","cells":["ffffffffffffffff"]}"#), "no H3 cell"),
            (community(r#""cross_border":[{"friend":"CH","job":"CH"}]"#), "cross_border"),
            (community(r#""age_min":13"#), "age_min"),
            (community(r#""policy":{"cool_down_ms":-1}"#), "cool_down_ms"),
            (community(r#""policy":{"rating_metres":2001}"#), "rating_metres"),
            (
                community(r#""policy":{"valid_from":"2027-01-01T00:00:00Z","valid_until":"2027-01-01T00:00:00Z"}"#),
                "valid_until",
            ),
            (friend(r#""account":{"state":"limited","reason":" "}"#), "account.reason"),
            (friend(r#""account":{"state":"limited"}"#), "reason"),
            (friend(r#""account":{"state":"asleep"}"#), "asleep"),
            (friend(r#""active":1"#), "true or false"),
            (friend(r#""active":true,"account":{"state":"active"}"#), "duplicate"),
            (friend(r#""checks":[{"kind":"age","at":"2026-01-01T00:00:00Z","by":"ops","years":5}]"#), "checks.years"),
            (friend(r#""checks":[{"kind":"partner_customer","at":"2026-01-01T00:00:00Z","by":"ops"}]"#), "partner"),
            (friend(r#""availability":[{"from":"22:00","to":"06:00"}]"#), "midnight"),
            (friend(r#""availability":[{"from":"22:60","to":"24:00"}]"#), "HH:MM"),
            (friend(r#""anchors":[{"kind":"home","place":{"lat":91,"lng":0}}]"#), "lat"),
            (friend(r#""caps":[{"period":"year"}]"#), "caps"),
            (friend(r#""blocks":[{"kind":"customer","phone":"030 1234"}]"#), "international"),
            (friend(r#""phone":"12""#), "international"),
            (friend(r#""email":"me""#), "e-mail"),
        ] {
            let faults = parse(&line, 10_000).expect_err("does not fit");
            assert!(faults[0].what.contains(word), "{faults:?}");
        }
    }

    #[test]
    fn an_older_document_says_active_or_not() {
        for (field, active) in [("", true), (",\"active\":true", true), (",\"active\":false", false)] {
            let id = "0192f000-0000-7000-8000-000000000001";
            let line = format!(
                "{{\"kind\":\"friend\",\"id\":\"{id}\",\"name\":\"A\",\"country\":\"DE\",\"communities\":[\"c\"]{field}}}"
            );
            let lines = parse(&line, 1_000).expect("fits");
            let ImportLine::Friend(friend) = &lines[0] else { panic!("a friend") };
            assert_eq!(friend.account.is_active(), active, "{field}");
            assert_eq!(friend.account.may_connect(), active, "{field}");
        }
    }

    #[test]
    fn a_polygon_is_taken_in_as_cells() {
        let polygon =
            r#"{"type":"Polygon","coordinates":[[[13.3,52.4],[13.5,52.4],[13.5,52.6],[13.3,52.6],[13.3,52.4]]]}"#;
        let line = format!(
            "{{\"kind\":\"community\",\"slug\":\"c\",\"brand\":\"C\",\"country\":\"DE\",\"currency\":\"EUR\",\
             \"time_zone\":\"Europe/Berlin\",\"commission\":{{\"id\":\"ten\",\"basis_points\":1000}},\"area\":{polygon}}}"
        );
        let mut lines = parse(&line, 10_000).expect("fits");
        let ImportLine::Community(community) = &lines[0] else { panic!("a community") };
        assert!(matches!(community.area, Some(kiez_protocol::place::Area::Cells { .. })));
        let before = lines.clone();
        assert!(settle(&mut lines).is_empty() && lines == before, "cells stay cells");
    }
}
