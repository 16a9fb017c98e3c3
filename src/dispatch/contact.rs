//! Contact data in free text: phone numbers, e-mail addresses, web addresses, also spelled out. Until somebody has won a job
//! nobody learns how to reach its customer, whatever channel the words take. A filter against habit and haste: who is
//! determined finds a way, and what looks like a number and is none (a serial number) is lost.

use super::job::Booking;

/// What stands in place of what was taken out.
const GONE: &str = "[…]";
/// So many digits in a row are a telephone number.
const PHONE_DIGITS: usize = 7;
/// Parts of a name or a street shorter than this are left, characters: they are words of any text.
const NAME_CHARS: usize = 3;
const STREET_CHARS: usize = 4;

/// The text as somebody may read it who has not won: without what looks like a telephone number, an e-mail address or a web
/// address, and without the customer's name and street, which they may have signed with. White space is evened out.
pub fn for_strangers(text: &str, booking: &Booking) -> String {
    let (name, street) = (&booking.customer.name, &booking.address.street);
    let parts = |text: &str, least: usize| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| part.chars().count() >= least);
        parts.filter(|part| part.chars().all(char::is_alphabetic)).map(str::to_lowercase).collect()
    };
    let mut known = parts(name, NAME_CHARS);
    known.extend(parts(street, STREET_CHARS));
    without(text, &known)
}

/// What a friend says of themselves, as everybody may read it: without what looks like contact data, and without all of their
/// name but the first, which alone is shown there.
pub fn for_a_listing(text: &str, name: &str) -> String {
    let parts = name.split_whitespace().skip(1).flat_map(|part| part.split(|c: char| !c.is_alphanumeric()));
    let known: Vec<String> = parts.filter(|part| part.chars().count() >= NAME_CHARS).map(str::to_lowercase).collect();
    without(text, &known)
}

fn without(text: &str, known: &[String]) -> String {
    let text = plain(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let lower: Vec<String> = words.iter().map(|word| core(word).to_lowercase()).collect();
    let mut hidden = vec![false; words.len()];
    hide_addresses(&words, &lower, &mut hidden);
    hide_numbers(&words, &lower, &mut hidden);
    for (word, hidden) in lower.iter().zip(&mut hidden) {
        *hidden |= word.split(|c: char| !c.is_alphanumeric()).any(|part| known.iter().any(|known| known == part));
    }
    let mut out = String::with_capacity(text.len());
    for (index, word) in words.iter().enumerate() {
        if hidden[index] && index > 0 && hidden[index - 1] {
            continue;
        }
        if index > 0 {
            out.push(' ');
        }
        out.push_str(if hidden[index] { GONE } else { word });
    }
    out
}

/// Digits of all scripts as ours, without marks that nobody sees and those that make a digit a key.
fn plain(text: &str) -> String {
    let ours = |c: char| match c {
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe0f}' | '\u{20e3}' | '\u{ad}' => None,
        '\u{ff10}'..='\u{ff19}' => char::from_digit(c as u32 - 0xff10, 10),
        '\u{660}'..='\u{669}' => char::from_digit(c as u32 - 0x660, 10),
        '\u{6f0}'..='\u{6f9}' => char::from_digit(c as u32 - 0x6f0, 10),
        '\u{966}'..='\u{96f}' => char::from_digit(c as u32 - 0x966, 10),
        '＠' => Some('@'),
        '．' => Some('.'),
        c => Some(c),
    };
    text.chars().filter_map(ours).collect()
}

/// A word without the punctuation round it.
fn core(word: &str) -> &str {
    word.trim_matches(|c: char| ",;:!?\"'„“”«»".contains(c)).trim_end_matches('.')
}

// --- addresses ------------------------------------------------------------------------------------------------------

/// Ends of addresses that are seen here. Those that are also words count only in small letters.
const ENDS: &[&str] = &[
    "de", "ch", "pl", "eu", "fr", "com", "net", "org", "info", "biz", "io", "app", "dev", "gg", "ly", "li", "uk",
    "shop", "online", "cloud", "email",
];
const ENDS_THAT_ARE_WORDS: &[&str] = &["at", "it", "me", "us", "to"];
/// Words of the trade that only look like a name on the web.
const NO_DOMAINS: &[&str] = &["asp.net", "ado.net", "vb.net"];
const AT: &[&str] = &["at", "ät", "klammeraffe", "arobase", "arroba", "chiocciola", "małpa", "malpa"];
const DOT: &[&str] = &["dot", "punkt", "point", "punto", "kropka"];

fn hide_addresses(words: &[&str], lower: &[String], hidden: &mut [bool]) {
    for index in 0..words.len() {
        let word = lower[index].as_str();
        if word.contains('@') || word.contains("://") || word.starts_with("www.") || is_domain(core(words[index])) {
            hidden[index] = true;
            // "anna @ example.org"
            if word == "@" {
                hide_around(hidden, index, index);
            }
        }
        if ["(at)", "[at]", "{at}", "<at>", "(ät)", "[ät]"].iter().any(|sign| word.contains(sign)) {
            if word.len() <= 5 { hide_around(hidden, index, index) } else { hidden[index] = true }
        }
        // "example dot org", and whatever stands before an "at" before it.
        let ends = |index: usize| lower.get(index).is_some_and(|end| is_end(end));
        if is_sign(word, DOT) && index > 0 && ends(index + 1) {
            hide_around(hidden, index, index);
            let mut first = index - 1;
            while first >= 2 && is_sign(&lower[first - 1], DOT) {
                first -= 2;
                hide_around(hidden, first + 1, first + 1);
            }
            if first >= 2 && is_sign(&lower[first - 1], AT) {
                hide_around(hidden, first - 1, first - 1);
            }
        }
        // "anna at example.org"
        let domain = || words.get(index + 1).is_some_and(|next| is_domain(core(next)));
        if is_sign(word, AT) && index > 0 && domain() {
            hide_around(hidden, index, index);
        }
    }
}

/// Hides what stands from `first` to `last`, and a word on either side.
fn hide_around(hidden: &mut [bool], first: usize, last: usize) {
    let end = (last + 2).min(hidden.len());
    hidden[first.saturating_sub(1)..end].fill(true);
}

fn is_sign(word: &str, signs: &[&str]) -> bool {
    signs.contains(&word.trim_matches(['(', ')', '[', ']', '{', '}', '<', '>', '*', '-', '_']))
}

fn is_end(word: &str) -> bool {
    ENDS.contains(&word) || ENDS_THAT_ARE_WORDS.contains(&word)
}

/// Whether a word is a name on the web: `example.org`, `www.example.de/path`.
fn is_domain(word: &str) -> bool {
    let host = word.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let Some((name, end)) = host.rsplit_once('.') else { return false };
    let labels = name
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'));
    let has_letter = name.chars().any(char::is_alphabetic);
    labels
        && has_letter
        && !NO_DOMAINS.contains(&word.to_lowercase().as_str())
        && (ENDS.contains(&end.to_lowercase().as_str()) || ENDS_THAT_ARE_WORDS.contains(&end))
}

// --- numbers --------------------------------------------------------------------------------------------------------

/// The digits by their names, in the five languages. Longer names first where one begins another.
const DIGITS: &[&str] = &[
    "null",
    "eins",
    "zwei",
    "zwo",
    "drei",
    "vier",
    "fünf",
    "fuenf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "zéro",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "sept",
    "huit",
    "neuf",
    "uno",
    "un",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "jeden",
    "dwa",
    "trzy",
    "cztery",
    "pięć",
    "sześć",
    "siedem",
    "osiem",
    "dziewięć",
];

/// What a word is to a number that may go on over several words.
enum Part {
    /// So many digits of it.
    Digits(usize),
    /// Only marks between digits.
    Between,
    /// A whole number by itself, within other signs.
    Whole,
    /// Something else.
    Other,
}

fn hide_numbers(words: &[&str], lower: &[String], hidden: &mut [bool]) {
    let (mut first, mut digits) = (0, 0);
    for index in 0..=words.len() {
        let part = words.get(index).map_or(Part::Other, |word| part(word, &lower[index]));
        match part {
            Part::Digits(count) => {
                if digits == 0 {
                    first = index;
                }
                digits += count;
            }
            Part::Between => {}
            Part::Whole | Part::Other => {
                if digits >= PHONE_DIGITS {
                    hidden[first..index].fill(true);
                }
                digits = 0;
            }
        }
        if matches!(part, Part::Whole) {
            hidden[index] = true;
        }
        // What ends a sentence ends a number.
        let stops = words.get(index).is_some_and(|word| word.len() > 1 && word.ends_with([',', ';', '!', '?', '.']));
        if stops && digits > 0 {
            if digits >= PHONE_DIGITS {
                hidden[first..=index].fill(true);
            }
            digits = 0;
        }
    }
}

fn part(word: &str, lower: &str) -> Part {
    let bare = core(word);
    // An error's code is in hexadecimal.
    if is_date(bare) || is_network_address(bare) || lower.starts_with("0x") {
        return Part::Other;
    }
    let between = |c: char| matches!(c, '+' | '-' | '/' | '(' | ')' | '.' | '_' | '–' | '*' | '|');
    let inner: String = bare.chars().filter(|c| !between(*c)).collect();
    if inner.is_empty() {
        return Part::Between;
    }
    if inner.bytes().all(|byte| byte.is_ascii_digit()) {
        return Part::Digits(inner.len());
    }
    if let Some(count) = spelled(lower) {
        return Part::Digits(count);
    }
    // "tel:0176/1234567", "call00491761234567now"
    let mut run = 0;
    for c in bare.chars() {
        if c.is_ascii_digit() {
            run += 1;
        } else if !between(c) {
            run = 0;
        }
        if run >= PHONE_DIGITS {
            return Part::Whole;
        }
    }
    Part::Other
}

/// How many digits a word spells out, if it does nothing else.
fn spelled(word: &str) -> Option<usize> {
    let (mut rest, mut count) = (word.trim_matches(|c: char| !c.is_alphabetic()), 0);
    while !rest.is_empty() {
        let digit = DIGITS.iter().filter(|digit| rest.starts_with(**digit)).max_by_key(|digit| digit.len())?;
        rest = rest[digit.len()..].trim_start_matches('-');
        count += 1;
    }
    (count > 0).then_some(count)
}

/// `23.11.2026`, `2026-11-23`, `1.2.26`.
fn is_date(word: &str) -> bool {
    let parts: Vec<Option<u32>> = word.split(['.', '-', '/']).map(|part| part.parse().ok()).collect();
    match parts[..] {
        [Some(day), Some(month), Some(year)] => {
            let fits = |day: u32, month: u32, year: u32| {
                (1..=31).contains(&day) && (1..=12).contains(&month) && (year < 100 || (1900..2100).contains(&year))
            };
            word.len() <= 10 && (fits(day, month, year) || (year <= 31 && day >= 1900 && fits(year, month, day)))
        }
        _ => false,
    }
}

/// `192.168.178.1`: four numbers up to 255, as a router has.
fn is_network_address(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::without;

    fn without_contact_data(text: &str) -> String {
        without(text, &[])
    }

    #[test]
    fn contact_data_is_taken_out() {
        for (text, shown) in [
            // Telephone numbers.
            ("ruf an: +49 30 123 45 67 bitte", "ruf an: […] bitte"),
            ("0176/1234567", "[…]"),
            ("+49(0)30-1234567, danke", "[…] danke"),
            ("Tel.:01761234567", "[…]"),
            ("mobil 0176 / 12 34 - 567!", "mobil […]"),
            ("number:+493012345678.", "[…]"),
            ("０１７６１２３４５６７", "[…]"),
            ("٠١٧٦١٢٣٤٥٦٧ shukran", "[…] shukran"),
            ("0\u{200b}1\u{200b}7\u{200b}6 123 4567", "[…]"),
            ("0️⃣1️⃣7️⃣6️⃣ 1️⃣2️⃣3️⃣4️⃣", "[…]"),
            ("null eins sieben sechs eins zwei drei vier", "[…]"),
            ("call zero one seven six 12 34", "call […]"),
            ("nulleinssiebensechseinszweidrei ok", "[…] ok"),
            ("zéro six un deux trois quatre cinq", "[…]"),
            ("zero uno due tre quattro cinque sei", "[…]"),
            ("pięć zero jeden dwa trzy cztery siedem", "[…]"),
            // Addresses.
            ("mail anna@example.org danke", "mail […] danke"),
            ("anna @ example.org", "[…]"),
            ("anna＠example．org", "[…]"),
            ("anna (at) example.org bitte", "[…] bitte"),
            ("anna[at]example.org", "[…]"),
            ("schreib anna at example punkt de heute", "schreib […] heute"),
            ("schreib anna at mail dot example dot org", "schreib […]"),
            ("anna at example.com", "[…]"),
            ("insta @annahilft", "insta […]"),
            ("https://example.org/x?y=1 siehe", "[…] siehe"),
            ("siehe www.example.org", "siehe […]"),
            ("auf example.de/anna steht es", "auf […] steht es"),
            ("wa.me/4917612345", "[…]"),
        ] {
            assert_eq!(without_contact_data(text), shown, "{text}");
        }
    }

    #[test]
    fn who_signs_is_not_named() {
        let known = ["kanari".to_owned(), "geheimgasse".to_owned()];
        for (text, shown) in [
            ("Danke, Frau Kanari", "Danke, Frau […]"),
            ("gruß a.KANARI!", "gruß […]"),
            ("in der Geheimgasse 7, hinten", "in der […] 7, hinten"),
            ("die Kanarien singen", "die Kanarien singen"),
        ] {
            assert_eq!(without(text, &known), shown);
        }
    }

    #[test]
    fn a_listing_shows_no_more_of_a_name_than_its_first() {
        for (text, name, shown) in [
            ("Alex Muster, 0176 1234567, hilft gern", "Alex Muster", "Alex […] hilft gern"),
            ("Frag nach Kim", "Kim", "Frag nach Kim"),
            ("von Berg und Tal, a.berg@example.org", "Anna Maria von Berg", "[…] und Tal, […]"),
        ] {
            assert_eq!(super::for_a_listing(text, name), shown, "{text}");
        }
    }

    #[test]
    fn what_people_say_about_their_machines_stays() {
        for text in [
            "",
            "Fritz!Box 7590",
            "Fritz!Box 7590, 3 Räume, 120 m2",
            "am 23.11.2026 um 17:30 oder 2026-11-24",
            "die Box ist 192.168.178.1, und fritz.box geht auch nicht",
            "Fehler 0x80070057 bei 10.000 MBit/s",
            "2 PCs, 3 Drucker, 1 Fernseher",
            "sechs Lampen, eins davon kaputt",
            "meet me at home, z. B. um acht",
            "Windows 11 22H2, Office 2019",
            "von 8 bis 18 Uhr, Etage 3",
            "Node.js und ASP.NET",
        ] {
            assert_eq!(without_contact_data(text), text);
        }
    }
}
