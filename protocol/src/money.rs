//! Money: integer minor units and a currency. There is no sum across currencies, so there is no operator for one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The currencies of the countries kiez serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Euro, 100 cents (DE, AT).
    Eur,
    /// Swiss franc, 100 Rappen (CH).
    Chf,
    /// Polish złoty, 100 grosze (PL).
    Pln,
}

impl Currency {
    /// The ISO 4217 code.
    pub fn code(self) -> &'static str {
        match self {
            Currency::Eur => "EUR",
            Currency::Chf => "CHF",
            Currency::Pln => "PLN",
        }
    }
}

/// An amount in minor units (cents, Rappen, grosze) of one currency: `{"amount": 2900, "currency": "EUR"}` is 29 €.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units; negative only in corrections.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
}

/// The highest price or hourly rate, minor units: a million euros. Higher ones are slips of a keyboard, and reckoning with
/// them would leave the range of integers.
pub const PRICE_MAX: i64 = 100_000_000;

/// Says in the schema of an amount that it is a price: more than 0, at most [`PRICE_MAX`].
#[cfg(feature = "schemas")]
pub(crate) fn price(schema: &mut schemars::Schema) {
    let amount = serde_json::json!({"amount": {"minimum": 1, "maximum": PRICE_MAX}});
    schema.insert("properties".to_owned(), amount);
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let minor = self.amount.unsigned_abs();
        write!(f, "{sign}{}.{:02} {}", minor / 100, minor % 100, self.currency.code())
    }
}

/// How the customer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// A card, charged online.
    CardOnline,
    /// A card at the door; EC and debit count as card.
    CardOnSite,
    /// Cash to the friend.
    Cash,
    /// An invoice to the customer.
    Invoice,
    /// PayPal.
    Paypal,
}
