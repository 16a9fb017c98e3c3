//! Was a run as good as another? Conditions such as `offer_p99>10%` are checked against the figures of two reports, so that
//! a build can be stopped by what it made slower. A report is any JSON with numbers in it: a figure is named by its path,
//! `load.post_ms.p99`, and those that are asked for most have short names.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

/// Short names of figures.
const SHORT: &[(&str, &str)] = &[
    ("post_p50", "load.post_ms.p50"),
    ("post_p99", "load.post_ms.p99"),
    ("first_offer_p50", "load.first_offer_ms.p50"),
    ("first_offer_p99", "load.first_offer_ms.p99"),
    ("offer_p50", "load.fourth_offer_ms.p50"),
    ("offer_p99", "load.fourth_offer_ms.p99"),
    ("won_p50", "load.won_ms.p50"),
    ("won_p99", "load.won_ms.p99"),
    ("lost_p50", "load.lost_ms.p50"),
    ("lost_p99", "load.lost_ms.p99"),
    ("cpu_us_per_job", "load.server.cpu_us_per_job"),
    ("serving_again_max", "outages.serving_again_ms.max"),
];

/// The figures of a report by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// The numbers of a report.
    pub fn of(report: &Value) -> Figures {
        let mut figures = BTreeMap::new();
        gather(String::new(), report, &mut figures);
        for (short, path) in SHORT {
            if let Some(value) = figures.get(*path).copied() {
                figures.insert((*short).to_owned(), value);
            }
        }
        Figures(figures)
    }

    fn get(&self, name: &str) -> Result<f64, CompareError> {
        self.0.get(name).copied().ok_or_else(|| CompareError::NoFigure { name: name.to_owned() })
    }
}

fn gather(path: String, value: &Value, figures: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => {
            figures.extend(number.as_f64().map(|number| (path, number)));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                gather(path, value, figures);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                gather(format!("{path}.{index}"), value, figures);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Why a comparison cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// The text is no condition.
    #[error(
        "{0:?} is not a condition: NAME>LIMIT or NAME<LIMIT, the limit a value, a change (10%) or a factor (1.5x) against the base, such as offer_p99>10%"
    )]
    NotACondition(String),
    /// A report does not hold that figure.
    #[error("no figure {name} in the report; short names are {}, others are paths such as load.post_ms.p99", SHORT.iter().map(|(short, _)| *short).collect::<Vec<_>>().join(", "))]
    NoFigure {
        /// Its name.
        name: String,
    },
    /// A change or a factor without a report to compare with.
    #[error("{0:?} compares with another run: name its report by --compare")]
    NoBase(String),
}

/// When a run counts as worse.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    name: String,
    /// Whether more is worse; else less is.
    above: bool,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// This value.
    Value(f64),
    /// So much more than the base, or less: a share of it.
    Change(f64),
    /// So many times the base.
    Factor(f64),
}

impl FromStr for Condition {
    type Err = CompareError;

    fn from_str(text: &str) -> Result<Condition, CompareError> {
        let refuse = || CompareError::NotACondition(text.to_owned());
        let at = text.find(['>', '<']).ok_or_else(refuse)?;
        let (name, limit) = (text[..at].trim(), text[at + 1..].trim());
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let limit = match (limit.strip_suffix('%'), limit.strip_suffix('x')) {
            (Some(change), _) => number(change).map(|change| Limit::Change(change / 100.0)),
            (None, Some(factor)) => number(factor).map(Limit::Factor),
            (None, None) => number(limit).map(Limit::Value),
        };
        match (name.is_empty(), limit) {
            (false, Some(limit)) => Ok(Condition {
                text: text.to_owned(),
                name: name.to_owned(),
                above: text.as_bytes()[at] == b'>',
                limit,
            }),
            (_, _) => Err(refuse()),
        }
    }
}

impl Condition {
    /// What is worse, in words, if the run fulfils the condition.
    ///
    /// # Errors
    /// See [`CompareError`].
    pub fn met(&self, base: Option<&Figures>, run: &Figures) -> Result<Option<String>, CompareError> {
        let base = match (self.limit, base) {
            (Limit::Value(_), _) => None,
            (Limit::Change(_) | Limit::Factor(_), Some(base)) => Some(base.get(&self.name)?),
            (Limit::Change(_) | Limit::Factor(_), None) => return Err(CompareError::NoBase(self.text.clone())),
        };
        let value = run.get(&self.name)?;
        let limit = match (self.limit, base.unwrap_or_default()) {
            (Limit::Value(limit), _) => limit,
            (Limit::Change(share), base) if self.above => base * (1.0 + share),
            (Limit::Change(share), base) => base * (1.0 - share),
            (Limit::Factor(factor), base) => base * factor,
        };
        let worse = if self.above { value > limit } else { value < limit };
        let against = base.map(|base| format!(" (the base has {base})")).unwrap_or_default();
        Ok(worse.then(|| format!("{}: {} is {value}{against}", self.text, self.name)))
    }

    /// Whether the base holds what the condition asks for, before a long run is begun.
    ///
    /// # Errors
    /// See [`CompareError`].
    pub fn fits(&self, base: Option<&Figures>) -> Result<(), CompareError> {
        match base {
            Some(base) => self.met(Some(base), base).map(|_| ()),
            None if matches!(self.limit, Limit::Value(_)) => Ok(()),
            None => Err(CompareError::NoBase(self.text.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(p99: f64, wrong: u64) -> Figures {
        Figures::of(&json!({"wrong_four": wrong, "load": {"fourth_offer_ms": {"p99": p99}}, "steps": [{"cpu": 7}]}))
    }

    fn met(condition: &str, run: &Figures) -> bool {
        condition.parse::<Condition>().unwrap().met(Some(&report(10.0, 0)), run).unwrap().is_some()
    }

    #[test]
    fn a_run_is_worse_by_a_value_a_change_or_a_factor() {
        assert!(met("offer_p99>10%", &report(11.1, 0)) && !met("offer_p99>10%", &report(10.9, 0)));
        assert!(met("offer_p99 > 1.5x", &report(15.1, 0)) && !met("offer_p99>1.5x", &report(14.9, 0)));
        assert!(met("load.fourth_offer_ms.p99>12.5", &report(12.6, 0)));
        assert!(met("wrong_four>0", &report(1.0, 1)) && !met("wrong_four>0", &report(99.0, 0)));
        assert!(met("offer_p99<20%", &report(7.9, 0)) && !met("offer_p99<20%", &report(8.1, 0)));
        assert!(met("steps.0.cpu>6", &report(1.0, 0)));
        let said = "offer_p99>10%".parse::<Condition>().unwrap().met(Some(&report(10.0, 0)), &report(12.0, 0));
        assert_eq!(said.unwrap().unwrap(), "offer_p99>10%: offer_p99 is 12 (the base has 10)");
    }

    #[test]
    fn what_cannot_be_compared_is_said_before_the_run() {
        for text in ["", "offer_p99", "offer_p99>", ">5", "offer_p99>fast", "offer_p99>NaN"] {
            assert!(matches!(text.parse::<Condition>(), Err(CompareError::NotACondition(_))), "{text}");
        }
        let condition: Condition = "offr_p99>10%".parse().unwrap();
        let unknown = condition.fits(Some(&report(1.0, 0))).unwrap_err().to_string();
        assert!(unknown.contains("no figure offr_p99") && unknown.contains("offer_p99"), "{unknown}");
        let condition: Condition = "offer_p99>10%".parse().unwrap();
        assert!(matches!(condition.fits(None), Err(CompareError::NoBase(_))));
        assert_eq!("offer_p99>5".parse::<Condition>().unwrap().fits(None), Ok(()));
    }
}
