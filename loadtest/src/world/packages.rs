//! What customers book: the packages of the demo, in five languages. What real services of this kind were asked for most
//! was Wi-Fi, television, computer and software; prices and rules are of that order of size.

use kiez_protocol::directory::{AnswerKind, Package, Pricing, Question, SkillLevel, Texts};
use kiez_protocol::ids::{CommunitySlug, Word};
use kiez_protocol::money::{Currency, Money, PaymentMethod};

use super::communities::{BERLIN_FIXED, BERLIN_GUIDE, BERLIN_HOURLY, BERLIN_OPEN, ZURICH};

/// A kind of work: what it is called, what it needs, how often it is asked for.
pub struct Work {
    /// The first part of the package's slug, and the skill.
    pub slug: &'static str,
    /// The category.
    pub category: &'static str,
    /// German, English, French, Italian, Polish.
    title: [&'static str; 5],
    /// The skill it needs.
    pub skill: &'static str,
    /// The least level of it.
    level: u8,
    /// Planned minutes on site.
    minutes: u16,
    /// The fixed price in euros, so that at 15 % commission at least 25 € are left.
    euros: i64,
    /// The fixed price in francs.
    francs: i64,
    /// The question about the device, with answers people give.
    device: &'static str,
    /// Answers to it.
    pub devices: &'static [&'static str],
    /// How often, against the others.
    pub weight: f64,
}

/// All kinds of work, the most frequent first.
pub const WORKS: &[Work] = &[
    Work {
        slug: "wifi-setup",
        category: "wifi",
        title: [
            "WLAN einrichten",
            "Set up the Wi-Fi",
            "Installer le Wi-Fi",
            "Configurare il Wi-Fi",
            "Konfiguracja Wi-Fi",
        ],
        skill: "wifi",
        level: 2,
        minutes: 60,
        euros: 39,
        francs: 55,
        device: "router",
        devices: &["Fritz!Box 7590", "Speedport Smart 4", "EasyBox 805", "Internet-Box 3"],
        weight: 24.0,
    },
    Work {
        slug: "wifi-range",
        category: "wifi",
        title: [
            "WLAN-Reichweite erweitern",
            "Extend the Wi-Fi",
            "Étendre la portée du Wi-Fi",
            "Estendere il Wi-Fi",
            "Zwiększenie zasięgu Wi-Fi",
        ],
        skill: "wifi",
        level: 3,
        minutes: 60,
        euros: 45,
        francs: 65,
        device: "router",
        devices: &["Fritz!Repeater 1200", "Mesh mit zwei Geräten", "Powerline", "Wi-Fi 6 Mesh"],
        weight: 14.0,
    },
    Work {
        slug: "tv-setup",
        category: "tv",
        title: [
            "Fernseher einrichten",
            "Set up the TV",
            "Installer le téléviseur",
            "Configurare il televisore",
            "Konfiguracja telewizora",
        ],
        skill: "tv",
        level: 2,
        minutes: 45,
        euros: 35,
        francs: 55,
        device: "tv",
        devices: &["LG OLED 55", "Samsung QE50", "TV-Box", "Fire TV Stick"],
        weight: 18.0,
    },
    Work {
        slug: "tv-channels",
        category: "tv",
        title: [
            "Sender neu ordnen",
            "Sort the TV channels",
            "Reprogrammer les chaînes",
            "Riordinare i canali TV",
            "Programowanie kanałów TV",
        ],
        skill: "tv",
        level: 1,
        minutes: 30,
        euros: 30,
        francs: 45,
        device: "tv",
        devices: &["Sony Bravia", "Panasonic TX", "Receiver", "TV-Box"],
        weight: 8.0,
    },
    Work {
        slug: "computer-setup",
        category: "computer",
        title: [
            "Computer einrichten",
            "Set up a computer",
            "Installer un ordinateur",
            "Configurare un computer",
            "Konfiguracja komputera",
        ],
        skill: "computer",
        level: 2,
        minutes: 90,
        euros: 49,
        francs: 70,
        device: "computer",
        devices: &["Windows-Notebook", "MacBook Air", "Mini-PC", "Chromebook"],
        weight: 14.0,
    },
    Work {
        slug: "software-help",
        category: "software",
        title: [
            "Hilfe mit Programmen",
            "Help with software",
            "Aide avec un logiciel",
            "Aiuto con un programma",
            "Pomoc z oprogramowaniem",
        ],
        skill: "computer",
        level: 1,
        minutes: 60,
        euros: 35,
        francs: 55,
        device: "program",
        devices: &["E-Mail-Programm", "Office", "Online-Banking", "Virenschutz"],
        weight: 12.0,
    },
    Work {
        slug: "phone-setup",
        category: "phone",
        title: [
            "Handy einrichten",
            "Set up a phone",
            "Installer un téléphone",
            "Configurare un telefono",
            "Konfiguracja telefonu",
        ],
        skill: "phone",
        level: 1,
        minutes: 45,
        euros: 30,
        francs: 40,
        device: "phone",
        devices: &["iPhone 13", "Galaxy A54", "Pixel 7a", "Fairphone 4"],
        weight: 7.0,
    },
    Work {
        slug: "thermostat-setup",
        category: "smart-home",
        title: [
            "Thermostate einrichten",
            "Set up thermostats",
            "Installer des thermostats",
            "Configurare i termostati",
            "Konfiguracja termostatów",
        ],
        skill: "smart-home",
        level: 2,
        minutes: 60,
        euros: 45,
        francs: 65,
        device: "thermostat",
        devices: &["tado", "FRITZ!DECT 302", "Homematic IP", "Bosch Smart Home"],
        weight: 3.0,
    },
];

/// How a community sells the same work.
const SALES: &[(&str, &str)] = &[
    (BERLIN_HOURLY, "-hourly"),
    (BERLIN_GUIDE, "-guide"),
    (BERLIN_FIXED, ""),
    (ZURICH, "-ch"),
    (BERLIN_OPEN, "-open"),
];

/// The slug of a work's package in a community.
pub fn slug_of(work: &Work, community: &str) -> String {
    let ending = SALES.iter().find(|(slug, _)| *slug == community).map_or("", |(_, ending)| ending);
    format!("{}{ending}", work.slug)
}

/// All packages: each work as each community sells it.
pub fn packages() -> Vec<Package> {
    SALES.iter().flat_map(|(community, _)| WORKS.iter().map(|work| package(work, community))).collect()
}

fn package(work: &Work, community: &str) -> Package {
    let money = |units: i64, currency| Money { amount: units * 100, currency };
    let pricing = match community {
        BERLIN_HOURLY => Pricing::Hourly { from: money(7, Currency::Eur), to: money(30, Currency::Eur) },
        BERLIN_GUIDE => Pricing::Guide { from: money(29, Currency::Eur), to: money(55, Currency::Eur) },
        ZURICH => Pricing::Fixed { price: money(work.francs, Currency::Chf) },
        _ => Pricing::Fixed { price: money(work.euros, Currency::Eur) },
    };
    let [de, en, fr, it, pl] = work.title;
    let slug = slug_of(work, community).parse().expect("slugs of this file are slugs");
    Package {
        communities: vec![community.parse::<CommunitySlug>().expect("slugs of this crate are slugs")],
        skills: vec![SkillLevel { skill: word(work.skill), level: work.level }],
        duration_min: work.minutes,
        questions: questions(work),
        payment_methods: vec![PaymentMethod::CardOnline, PaymentMethod::CardOnSite, PaymentMethod::Cash],
        ..Package::new(slug, texts([de, en, fr, it, pl]), word(work.category), pricing)
    }
}

fn questions(work: &Work) -> Vec<Question> {
    vec![
        Question {
            name: word(work.device),
            text: texts([
                "Welches Gerät oder Programm?",
                "Which device or program?",
                "Quel appareil ou logiciel ?",
                "Quale dispositivo o programma?",
                "Jakie urządzenie lub program?",
            ]),
            answer: AnswerKind::Text {},
            required: true,
            in_offer: true,
        },
        Question {
            name: word("problem"),
            text: texts([
                "Was ist zu tun?",
                "What is to be done?",
                "Que faut-il faire ?",
                "Che cosa c'è da fare?",
                "Co trzeba zrobić?",
            ]),
            answer: AnswerKind::Text {},
            required: true,
            in_offer: true,
        },
        Question {
            name: word("lift"),
            text: texts([
                "Gibt es einen Aufzug?",
                "Is there a lift?",
                "Y a-t-il un ascenseur ?",
                "C'è l'ascensore?",
                "Czy jest winda?",
            ]),
            answer: AnswerKind::YesNo {},
            required: false,
            in_offer: false,
        },
    ]
}

impl Work {
    /// The name of the question about the device.
    pub fn device_question(&self) -> Word {
        word(self.device)
    }
}

pub(super) fn word(text: &str) -> Word {
    text.parse().expect("words of this crate are words")
}

fn texts([de, en, fr, it, pl]: [&str; 5]) -> Texts {
    let some = |text: &str| Some(text.to_owned());
    Texts { de: de.to_owned(), en: en.to_owned(), fr: some(fr), it: some(it), pl: some(pl) }
}
