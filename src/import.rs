//! Import lines before they are taken: parsed line by line, and checked for what their types cannot say. Used by the
//! admin API and by `kiez import`.

use kiez_protocol::directory::{Community, Friend, ImportLine, Package, Policy, Pricing, WavePlan};
use kiez_protocol::money::PRICE_MAX;

/// A line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFault {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Reads NDJSON; empty lines are passed over.
///
/// # Errors
/// Every line that does not fit, with what is wrong.
pub fn parse(text: &str, line_bytes_max: usize) -> Result<Vec<ImportLine>, Vec<LineFault>> {
    let (mut lines, mut numbers, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        if line.len() > line_bytes_max {
            faults.push(LineFault { line: number, what: format!("has more than {line_bytes_max} bytes") });
            continue;
        }
        match serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(line)) {
            Ok(parsed) => {
                lines.push(parsed);
                numbers.push(number);
            }
            Err(error) => {
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
                faults.push(LineFault { line: number, what });
            }
        }
    }
    for (index, what) in check(&lines) {
        faults.push(LineFault { line: numbers[index], what });
    }
    if faults.is_empty() {
        Ok(lines)
    } else {
        faults.sort_by_key(|fault| fault.line);
        Err(faults)
    }
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

/// What is wrong with the lines, each with its place in the list.
pub fn check(lines: &[ImportLine]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let mut wrong = |what: &str| faults.push((index, what.to_owned()));
        match line {
            ImportLine::Community(community) => check_community(community, &mut wrong),
            ImportLine::Package(package) => check_package(package, &mut wrong),
            ImportLine::Friend(friend) => check_friend(friend, &mut wrong),
            ImportLine::Partner(partner) => {
                if partner.commission.as_ref().is_some_and(|rule| rule.basis_points > 10_000) {
                    wrong("commission.basis_points: takes 0 to 10,000");
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

fn check_community(community: &Community, wrong: &mut dyn FnMut(&str)) {
    if community.commission.basis_points > 10_000 {
        wrong("commission.basis_points: takes 0 to 10,000");
    }
    if jiff::tz::TimeZone::get(&community.time_zone).is_err() {
        wrong("time_zone: takes an IANA name such as Europe/Berlin");
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
    if policy.delivery_ms < 1_000 || policy.contact_ms < 60_000 || policy.contact_grace_ms < 0 {
        wrong("policy: delivery_ms is at least 1,000, contact_ms at least 60,000, contact_grace_ms not negative");
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

fn check_package(package: &Package, wrong: &mut dyn FnMut(&str)) {
    if !(5..=480).contains(&package.duration_min) {
        wrong("duration_min: takes 5 to 480");
    }
    if package.skills.iter().any(|skill| !(1..=5).contains(&skill.level)) {
        wrong("skills: a level is 1 to 5");
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

fn check_friend(friend: &Friend, wrong: &mut dyn FnMut(&str)) {
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
}
