//! WORDS: what people read, in five languages. The catalogues (`*.ftl`, Project Fluent) hold every phrase with its
//! placeholders and plural forms; `build.rs` makes a function of each, so that a hole, a phrase too few or a placeholder
//! that differs ends the build. Texts travel on the wire as keys; here they are said where the server itself speaks to
//! people: the customer's page, notices, the titles of refusals.
//!
//! Days, hours and money are written as people of a language and country write them, in the hours of the community.

mod days;
mod sums;

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use kiez_protocol::directory::Language;
use kiez_protocol::partner::JobState;

pub(crate) use days::Days;
pub(crate) use sums::sum;

/// The phrases, each a function that takes its placeholders.
pub(crate) mod phrases {
    use fluent_bundle::FluentValue;

    use super::Phrase;

    include!(concat!(env!("OUT_DIR"), "/phrases.rs"));
}

/// A phrase with what stands in its places, not yet in any language.
pub(crate) struct Phrase<'a> {
    id: &'a str,
    args: FluentArgs<'a>,
}

impl<'a> Phrase<'a> {
    fn of<const N: usize>(id: &'a str, places: [(&'static str, FluentValue<'a>); N]) -> Phrase<'a> {
        Phrase { id, args: places.into_iter().collect() }
    }

    /// The phrase in a language.
    pub fn say(&self, language: Language) -> String {
        say(language, self.id, Some(&self.args)).expect("build.rs has seen it in every catalogue")
    }
}

/// What is said by a key of the wire, `error.try_again` or `why_not.distance`; none for a key that no catalogue knows.
pub(crate) fn by_key(key: &str, language: Language) -> Option<String> {
    by_name(&key.replacen('.', "-", 1), language)
}

/// Where a job stands, to its customer.
pub(crate) fn state(state: JobState, language: Language) -> String {
    by_name(&format!("state-{}", state.as_str()), language).expect("a test asks for every state")
}

/// What a refusal is called, by its code as the wire names it.
pub(crate) fn problem(code: &str, language: Language) -> Option<String> {
    by_name(&format!("problem-{code}"), language)
}

/// The language of ours that a caller would rather read, by their `Accept-Language` (RFC 9110, 12.5.4): the first of those
/// with the highest weight. None where they name none of ours.
pub(crate) fn accepted(header: &str) -> Option<Language> {
    let ranges = header.split(',').filter_map(|range| {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight: f32 = weight.trim().strip_prefix("q=")?.trim().parse().ok()?;
        let language = match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
            "de" => Language::De,
            "en" => Language::En,
            "fr" => Language::Fr,
            "it" => Language::It,
            "pl" => Language::Pl,
            _ => return None,
        };
        (weight > 0.0).then_some((language, weight))
    });
    let best = ranges.fold(None::<(Language, f32)>, |best, next| match best {
        Some(best) if best.1 >= next.1 => Some(best),
        _ => Some(next),
    });
    best.map(|(language, _)| language)
}

fn by_name(id: &str, language: Language) -> Option<String> {
    phrases::BY_NAME.binary_search(&id).ok().and_then(|_| say(language, id, None))
}

fn say(language: Language, id: &str, args: Option<&FluentArgs<'_>>) -> Option<String> {
    let bundle = catalogue(language);
    let pattern = bundle.get_message(id)?.value()?;
    let mut faults = Vec::new();
    let said = bundle.format_pattern(pattern, args, &mut faults).into_owned();
    assert!(faults.is_empty(), "{id} in {language:?}: {faults:?}");
    Some(said)
}

fn catalogue(language: Language) -> &'static FluentBundle<FluentResource> {
    static CATALOGUES: LazyLock<[FluentBundle<FluentResource>; 5]> = LazyLock::new(|| {
        [
            bundle("de", include_str!("de.ftl")),
            bundle("en", include_str!("en.ftl")),
            bundle("fr", include_str!("fr.ftl")),
            bundle("it", include_str!("it.ftl")),
            bundle("pl", include_str!("pl.ftl")),
        ]
    });
    match language {
        Language::De => &CATALOGUES[0],
        Language::En => &CATALOGUES[1],
        Language::Fr => &CATALOGUES[2],
        Language::It => &CATALOGUES[3],
        Language::Pl => &CATALOGUES[4],
    }
}

fn bundle(language: &str, text: &str) -> FluentBundle<FluentResource> {
    let resource = FluentResource::try_new(text.to_owned()).expect("build.rs has read it");
    let mut bundle = FluentBundle::new_concurrent(vec![language.parse().expect("a language")]);
    // No marks of direction round placeholders: all five languages run the same way.
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).expect("build.rs has seen each id once");
    bundle
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kiez_protocol::gate::Gate;
    use kiez_protocol::refusal::{Code, MESSAGE_KEYS};
    use kiez_protocol::talk::TOO_VAGUE;

    use super::*;

    const ALL: [Language; 5] = [Language::De, Language::En, Language::Fr, Language::It, Language::Pl];

    #[test]
    fn every_state_and_code_has_words() {
        for language in ALL {
            for state_of in JobState::ALL {
                assert!(!state(state_of, language).is_empty());
            }
        }
        for code in Code::ALL {
            let name = serde_json::to_value(code).unwrap();
            let named = |language| problem(name.as_str().unwrap(), language);
            assert!(ALL.iter().all(|language| named(*language).is_some()), "{name}");
            assert_eq!(
                named(Language::En).as_deref(),
                Some(code.title()),
                "the English catalogue and the wire's agree"
            );
        }
    }

    #[test]
    fn every_key_of_the_wire_has_words_and_none_is_there_in_vain() {
        let known = |group: &str| {
            let begins = format!("{group}-");
            let ids = phrases::BY_NAME.iter().filter(move |id| id.starts_with(&begins));
            ids.map(|id| id.replacen('-', ".", 1)).collect::<BTreeSet<_>>()
        };
        let told: BTreeSet<String> = MESSAGE_KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        assert_eq!(known("error"), told);
        assert_eq!(known("question"), BTreeSet::from([TOO_VAGUE.to_owned()]));
        let gates = Gate::ALL.iter().map(|gate| gate.as_str());
        let why_not = gates.chain(["rank", "beyond"]).map(|name| format!("why_not.{name}")).collect();
        assert_eq!(known("why_not"), why_not);
        assert_eq!(known("state").len(), JobState::ALL.len());
        assert_eq!(known("problem").len(), Code::ALL.len());
        assert_eq!(by_key("nonsense.error", Language::De), None);
    }

    #[test]
    fn plurals_follow_the_language() {
        let open = |count: u32, language| phrases::page_questions_open(count).say(language);
        assert_eq!(open(1, Language::De), "Eine Antwort fehlt noch.");
        assert_eq!(open(2, Language::De), "2 Antworten fehlen noch.");
        assert_eq!(open(0, Language::Fr), "Il manque encore une réponse.", "nothing is singular in French");
        assert_eq!(open(3, Language::Pl), "Brakuje jeszcze 3 odpowiedzi.");
    }

    #[test]
    fn the_reader_says_which_language() {
        assert_eq!(accepted("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5"), Some(Language::Fr));
        assert_eq!(accepted("nl, pl;q=0.4, de;q=0.6"), Some(Language::De));
        assert_eq!(accepted("nl, *"), None);
        assert_eq!(accepted("de;q=0, ;;,q=,it;q=x, en ; q=0.1"), Some(Language::En));
    }
}
