//! What stands behind the `?` of a request: names that the route knows, each at most once, percent-decoded.

use std::collections::BTreeMap;

use kiez_protocol::refusal::Code;
use serde::de::DeserializeOwned;

use super::problem::Refusal;

/// Entries of a page at most, and without a word.
const PAGE_MAX: u32 = 200;
const PAGE: u32 = 50;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Those of a query, of which the route takes only `known`.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for any other name, one that comes twice, and what is not UTF-8.
    pub fn of(query: Option<&str>, known: &[&str]) -> Result<Query, Refusal> {
        let mut taken = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(Refusal::param(Code::BadRequest, name, format!("takes {}", known.join(", "))));
            }
            let value =
                decoded(value).ok_or_else(|| Refusal::param(Code::BadRequest, name, "is not percent-encoded UTF-8"))?;
            if taken.insert(name.to_owned(), value).is_some() {
                return Err(Refusal::param(Code::BadRequest, name, "stands twice"));
            }
        }
        Ok(Query(taken))
    }

    /// A parameter, if it is there and not empty.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// A text of at most so many characters. Postgres has no place for a NUL.
    ///
    /// # Errors
    /// [`Code::Invalid`].
    pub fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, Refusal> {
        let text = self.take(name);
        if text.as_ref().is_some_and(|text| text.chars().count() > chars_max || text.contains('\0')) {
            return Err(Refusal::param(Code::Invalid, name, format!("takes at most {chars_max} characters")));
        }
        Ok(text)
    }

    /// A value of a type with a form in text: an id, a slug, a word.
    ///
    /// # Errors
    /// [`Code::Invalid`].
    pub fn value<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let read = |text: String| {
            let unfit = || Refusal::param(Code::Invalid, name, format!("does not take `{text}`"));
            serde_json::from_value(serde_json::Value::String(text.clone())).map_err(|_| unfit())
        };
        self.take(name).map(read).transpose()
    }

    /// How many entries a page has: 1 to 200, 50 without a word.
    ///
    /// # Errors
    /// [`Code::Invalid`].
    pub fn limit(&mut self) -> Result<u32, Refusal> {
        let Some(limit) = self.take("limit") else { return Ok(PAGE) };
        let limit = limit.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
        limit.ok_or_else(|| Refusal::param(Code::Invalid, "limit", format!("takes 1 to {PAGE_MAX}")))
    }
}

/// A value as it was before it was percent-encoded. A plus is a blank, as forms have it.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_takes_what_its_route_knows_once() {
        let mut query = Query::of(Some("q=M%C3%BCller+%2B1&limit=3&&empty="), &["q", "limit", "empty"]).expect("fits");
        assert_eq!(query.take("q").as_deref(), Some("Müller +1"));
        assert_eq!((query.limit().expect("fits"), query.take("empty")), (3, None));
        for unfit in ["a=1", "q=1&q=2", "q=%F", "q=%zz", "q=%FF"] {
            assert_eq!(Query::of(Some(unfit), &["q"]).expect_err(unfit).code(), Code::BadRequest, "{unfit}");
        }
        let mut long = Query::of(Some("q=xxxx&limit=0"), &["q", "limit"]).expect("fits");
        assert!(long.text("q", 3).is_err() && long.limit().is_err());
    }
}
