//! Money as people write it. Facts: the number patterns of the Unicode CLDR for de, en, fr, it, pl, and for Switzerland.

use kiez_protocol::directory::Language;
use kiez_protocol::money::{Currency, Money};

/// Between a number and its sign: a space at which no line breaks.
const FIRM: char = '\u{a0}';

/// An amount in words of a language. Francs are written the Swiss way, whatever the language: `CHF 1’234.50`, in French
/// `1’234.50 CHF`.
pub(crate) fn sum(money: Money, language: Language) -> String {
    let swiss = money.currency == Currency::Chf;
    let (group, point) = match language {
        _ if swiss => ('’', '.'),
        Language::En => (',', '.'),
        Language::De | Language::It => ('.', ','),
        Language::Fr => ('\u{202f}', ','),
        Language::Pl => (FIRM, ','),
    };
    let minor = money.amount.unsigned_abs();
    let number = format!("{}{point}{:02}", grouped(minor / 100, group, language, swiss), minor % 100);
    let sign = match money.currency {
        Currency::Eur => "€",
        Currency::Chf => "CHF",
        Currency::Pln if language == Language::Pl => "zł",
        Currency::Pln => "PLN",
    };
    let minus = if money.amount < 0 { "-" } else { "" };
    match language {
        Language::De | Language::It | Language::En if swiss => format!("{sign}{FIRM}{minus}{number}"),
        Language::En if money.currency == Currency::Eur => format!("{minus}{sign}{number}"),
        Language::En => format!("{minus}{sign}{FIRM}{number}"),
        Language::De | Language::Fr | Language::It | Language::Pl => format!("{minus}{number}{FIRM}{sign}"),
    }
}

/// A whole number in groups of three. Polish and Italian leave four digits together.
fn grouped(whole: u64, group: char, language: Language, swiss: bool) -> String {
    let digits = whole.to_string();
    let together = if matches!(language, Language::Pl | Language::It) && !swiss { 4 } else { 3 };
    if digits.len() <= together {
        return digits;
    }
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(group);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_reads_their_own_numbers() {
        let euros = |amount| Money { amount, currency: Currency::Eur };
        let francs = Money { amount: 123_450, currency: Currency::Chf };
        let zloty = |amount| Money { amount, currency: Currency::Pln };
        assert_eq!(sum(euros(3_900), Language::De), "39,00\u{a0}€");
        assert_eq!(sum(euros(3_905), Language::En), "€39.05");
        assert_eq!(sum(euros(123_450), Language::De), "1.234,50\u{a0}€");
        assert_eq!(sum(euros(123_450), Language::Fr), "1\u{202f}234,50\u{a0}€");
        assert_eq!(sum(euros(123_450), Language::It), "1234,50\u{a0}€");
        assert_eq!(sum(francs, Language::De), "CHF\u{a0}1’234.50");
        assert_eq!(sum(francs, Language::Fr), "1’234.50\u{a0}CHF");
        assert_eq!(sum(zloty(123_450), Language::Pl), "1234,50\u{a0}zł");
        assert_eq!(sum(zloty(1_234_567), Language::Pl), "12\u{a0}345,67\u{a0}zł");
        assert_eq!(sum(euros(-5), Language::De), "-0,05\u{a0}€");
    }
}
