//! Reads the catalogues of `src/words` and makes of each phrase a function that takes its placeholders. The build ends
//! with words when a language lacks a phrase or has one more, or when a placeholder differs: nobody finds a hole in a text
//! after the fact. A phrase that is found by a name of the wire (a code, a state, a gate) is listed instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

const LANGUAGES: [&str; 5] = ["de", "en", "fr", "it", "pl"];
/// What ids begin with that are found by their name, with a hyphen behind it.
const BY_NAME: [&str; 8] = ["problem", "error", "why_not", "state", "question", "notice", "weekday", "month"];

/// A phrase: its placeholders in the order in which they come, and the text as a reader of the code sees it.
#[derive(Default)]
struct Phrase {
    placeholders: Vec<String>,
    text: String,
}

impl Phrase {
    fn place(&mut self, name: &str) {
        if !self.placeholders.iter().any(|known| known == name) {
            self.placeholders.push(name.to_owned());
        }
    }

    fn set(&self) -> BTreeSet<&String> {
        self.placeholders.iter().collect()
    }
}

type Catalogue = BTreeMap<String, Phrase>;

fn main() {
    println!("cargo:rerun-if-changed=src/words");
    println!("cargo:rerun-if-changed=build.rs");
    let catalogues = LANGUAGES.map(|language| (language, read(language)));
    let (_, english) = catalogues.iter().find(|(language, _)| *language == "en").expect("English is among them");
    let faults: Vec<String> =
        catalogues.iter().flat_map(|(language, other)| differ(language, other, english)).collect();
    assert!(faults.is_empty(), "the catalogues in src/words differ:\n{}", faults.join("\n"));
    let out = env::var_os("OUT_DIR").expect("cargo says where to write");
    fs::write(Path::new(&out).join("phrases.rs"), functions(english)).expect("cargo's folder can be written");
}

fn read(language: &str) -> Catalogue {
    let file = format!("src/words/{language}.ftl");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let resource = fluent_syntax::parser::parse(text.as_str()).unwrap_or_else(|(_, errors)| {
        let first = errors.first().expect("a refusal has a reason");
        let line = text.get(..first.pos.start).map_or(0, |before| before.lines().count());
        panic!("{file}, near line {line}: {first}")
    });
    let mut catalogue = Catalogue::new();
    for entry in resource.body {
        match entry {
            Entry::Message(message) => {
                let id = message.id.name.to_owned();
                assert!(message.attributes.is_empty(), "{file}: {id} has attributes, which nobody reads");
                let value = message.value.unwrap_or_else(|| panic!("{file}: {id} is empty"));
                let mut phrase = Phrase::default();
                walk(&value, &mut phrase);
                assert!(catalogue.insert(id.clone(), phrase).is_none(), "{file}: {id} is there twice");
            }
            Entry::Term(term) => panic!("{file}: -{} is a term, and no phrase uses terms", term.id.name),
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
            Entry::Junk { content } => panic!("{file}: {content:?} is no phrase"),
        }
    }
    catalogue
}

fn walk(pattern: &Pattern<&str>, phrase: &mut Phrase) {
    for element in &pattern.elements {
        match element {
            PatternElement::TextElement { value } => phrase.text.push_str(value),
            PatternElement::Placeable { expression } => expressed(expression, phrase),
        }
    }
}

fn expressed(expression: &Expression<&str>, phrase: &mut Phrase) {
    match expression {
        Expression::Inline(inline) => placed(inline, phrase, true),
        Expression::Select { selector, variants } => {
            placed(selector, phrase, false);
            for variant in variants {
                if variant.default {
                    walk(&variant.value, phrase);
                } else {
                    let mut other = Phrase::default();
                    walk(&variant.value, &mut other);
                    other.placeholders.iter().for_each(|place| phrase.place(place));
                }
            }
        }
    }
}

fn placed(inline: &InlineExpression<&str>, phrase: &mut Phrase, shown: bool) {
    match inline {
        InlineExpression::VariableReference { id } => {
            phrase.place(id.name);
            if shown {
                let _ = write!(phrase.text, "{{{}}}", id.name);
            }
        }
        InlineExpression::StringLiteral { value } | InlineExpression::NumberLiteral { value } => {
            phrase.text.push_str(value);
        }
        InlineExpression::Placeable { expression } => expressed(expression, phrase),
        InlineExpression::FunctionReference { .. }
        | InlineExpression::MessageReference { .. }
        | InlineExpression::TermReference { .. } => {
            panic!("phrases hold texts, placeholders and plural forms, and nothing else")
        }
    }
}

/// What is wrong with a catalogue against the English one.
fn differ(language: &str, other: &Catalogue, english: &Catalogue) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, phrase) in english {
        match other.get(id) {
            None => faults.push(format!("{language}: {id} is missing")),
            Some(theirs) if theirs.set() != phrase.set() => faults.push(format!(
                "{language}: {id} has the placeholders {:?}, and in English {:?}",
                theirs.placeholders, phrase.placeholders
            )),
            Some(_) => {}
        }
    }
    faults.extend(
        other.keys().filter(|id| !english.contains_key(*id)).map(|id| format!("{language}: {id} is not in English")),
    );
    faults
}

fn by_name(id: &str) -> bool {
    BY_NAME.iter().any(|group| id.strip_prefix(group).is_some_and(|rest| rest.starts_with('-')))
}

fn functions(english: &Catalogue) -> String {
    let mut out = String::new();
    let named: Vec<&String> = english.keys().filter(|id| by_name(id)).collect();
    out.push_str("/// The phrases that are found by their name.\npub(super) const BY_NAME: &[&str] = &[\n");
    named.iter().for_each(|id| {
        let _ = writeln!(out, "    {id:?},");
    });
    out.push_str("];\n");
    for (id, phrase) in english.iter().filter(|(id, _)| !by_name(id)) {
        let name = id.replace('-', "_");
        let takes: Vec<String> =
            phrase.placeholders.iter().map(|place| format!("{place}: impl Into<FluentValue<'a>>")).collect();
        let gives: Vec<String> =
            phrase.placeholders.iter().map(|place| format!("({place:?}, {place}.into())")).collect();
        let life = if takes.is_empty() { ("", "'static") } else { ("<'a>", "'a") };
        let _ = write!(
            out,
            "\n/// “{}”\npub(crate) fn {name}{}({}) -> Phrase<{}> {{\n    Phrase::of({id:?}, [{}])\n}}\n",
            phrase.text.replace('\n', " "),
            life.0,
            takes.join(", "),
            life.1,
            gives.join(", ")
        );
    }
    out
}
