//! A Berlin to run kiez in, and a small Zürich beside it: real places and residents, invented people. Everything follows
//! from a seed: the same seed gives the same friends with the same ids, and the same jobs in the same order.

pub mod area;
pub mod communities;
pub mod edition;
pub mod hours;
pub mod packages;

use kiez_protocol::directory::{Country, Friend, ImportLine, Language, SkillLevel};
use kiez_protocol::ids::{CommunitySlug, FriendId, PartnerSlug};
use kiez_protocol::money::{Currency, Money, PaymentMethod};
use kiez_protocol::partner::{Answer, Answers, Customer, PostJob, Urgency, Window};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;

use self::area::City;
use self::communities::{BERLIN_FIXED, BERLIN_GUIDE, BERLIN_HOURLY, BERLIN_OPEN, PARTNERS, PHONE_COMPANY, ZURICH};
use self::hours::Hour;
use self::packages::{WORKS, Work, word};
use crate::chance::Chance;

/// Which city.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WorldKind {
    /// Some hundreds of friends in Berlin and some dozens in Zürich.
    #[default]
    Dense,
    /// The 60 friends of a pilot on the 890 km² of Berlin.
    Pilot,
}

impl WorldKind {
    /// How many friends live in it unless told otherwise.
    pub fn friends(self) -> usize {
        match self {
            WorldKind::Dense => 400,
            WorldKind::Pilot => 60,
        }
    }
}

/// A friend with what the directory does not know.
#[derive(Clone, Debug)]
pub struct Resident {
    /// What the directory knows.
    pub profile: Friend,
    /// Where they live.
    pub home: Point,
    /// How fast they go, metres a second: a walk or a bicycle.
    pub pace_m_s: f64,
}

/// A job to be posted, and by whom.
#[derive(Clone, Debug)]
pub struct Draft {
    /// By whom.
    pub partner: PartnerSlug,
    /// What.
    pub job: PostJob,
}

/// The city with everyone in it.
#[derive(Clone, Debug)]
pub struct World {
    /// The seed it was made from.
    pub seed: u64,
    /// The friends.
    pub residents: Vec<Resident>,
    berlin: City,
    zurich: City,
    with_zurich: bool,
}

const FIRST_NAMES: &[&str] = &[
    "Ada", "Ben", "Cem", "Dana", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jan", "Kim", "Lea", "Mika", "Nora", "Oskar",
    "Paula", "Quinn", "Rosa", "Sami", "Tilda", "Uwe", "Vera", "Wanda", "Yara", "Zoe",
];
const LAST_NAMES: &[&str] =
    &["Beispiel", "Muster", "Probe", "Modell", "Vorlage", "Entwurf", "Skizze", "Schablone", "Attrappe", "Platzhalter"];
const PROBLEMS: &[&str] = &[
    "Nach dem Umzug geht nichts mehr",
    "Neu gekauft, noch verpackt",
    "Verbindung bricht abends ab",
    "Bitte alles einmal erklären",
    "Anleitung ist nicht zu verstehen",
    "Nur im Schlafzimmer kein Empfang",
];

impl World {
    /// The world of a seed with so many friends.
    pub fn new(kind: WorldKind, friends: usize, seed: u64) -> World {
        let (berlin, zurich) = (City::berlin(), City::zurich());
        let with_zurich = kind == WorldKind::Dense;
        let residents = (0..friends)
            .map(|number| {
                let chance = &mut Chance::of(seed, "resident", number as u64);
                let swiss = with_zurich && number % 10 == 9;
                resident(kind, if swiss { &zurich } else { &berlin }, number, chance)
            })
            .collect();
        World { seed, residents, berlin, zurich, with_zurich }
    }

    /// Berlin alone, with so many friends, and jobs where people are at home at that hour.
    pub fn city(friends: usize, seed: u64, hour: Hour) -> World {
        let berlin = City::berlin_at(hour);
        let residents = (0..friends)
            .map(|number| {
                let chance = &mut Chance::of(seed, "resident", number as u64);
                resident(WorldKind::Dense, &berlin, number, chance)
            })
            .collect();
        World { seed, residents, berlin, zurich: City::zurich(), with_zurich: false }
    }

    /// Everything the directory must know, in an order in which it can be imported.
    pub fn documents(&self) -> Vec<ImportLine> {
        let communities = communities::communities().into_iter().map(ImportLine::Community);
        let packages = packages::packages().into_iter().map(ImportLine::Package);
        let partners = communities::partners().into_iter().map(ImportLine::Partner);
        let friends = self.residents.iter().map(|resident| ImportLine::Friend(resident.profile.clone()));
        communities.chain(packages).chain(partners).chain(friends).collect()
    }

    /// The partners who post here.
    pub fn partners(&self) -> Vec<PartnerSlug> {
        self.posting().map(|(slug, ..)| slug.parse().expect("partners of this crate have slugs")).collect()
    }

    /// The next job: who posts it, which package, where, for whom. `now` is the trade's time, for the wish windows.
    pub fn job(&self, chance: &mut Chance, now: Time) -> Draft {
        let partners: Vec<_> = self.posting().collect();
        let (partner, _, community, _) = partners[chance.weighted(partners.iter().map(|partner| partner.3))];
        let city = if *community == ZURICH { &self.zurich } else { &self.berlin };
        let (place, address) = city.job_place(chance);
        draft(partner, community, city, place, address, chance, now)
    }

    /// A job for the whole crowd at most `within_m` metres from `centre`, for somebody who has just joined there.
    pub fn job_near(&self, centre: Point, within_m: f64, chance: &mut Chance, now: Time) -> Draft {
        let (place, address) = self.berlin.job_place_near(centre, within_m, chance);
        let (partner, _, community, _) =
            self.posting().find(|(.., community, _)| *community == BERLIN_OPEN).expect("one");
        draft(partner, community, &self.berlin, place, address, chance, now)
    }

    /// Somebody new in Berlin who can do everything: the profile for a person who joins a demo. `number` tells guests
    /// apart.
    pub fn guest(&self, number: u64) -> Resident {
        let chance = &mut Chance::of(self.seed, "guest", number);
        let mut guest = resident(WorldKind::Pilot, &self.berlin, number as usize, chance);
        guest.profile.name = format!("Guest {}", number + 1);
        guest.profile.skills = skills(|_| 5);
        guest.profile.languages = Vec::new();
        guest.profile.communities = slugs(&[BERLIN_HOURLY, BERLIN_GUIDE, BERLIN_FIXED, BERLIN_OPEN]);
        guest.profile.customer_of = vec![PHONE_COMPANY.parse().expect("a slug")];
        guest
    }

    fn posting(&self) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, f64)> {
        PARTNERS.iter().filter(|(.., community, _)| self.with_zurich || *community != ZURICH)
    }
}

fn slugs(slugs: &[&str]) -> Vec<CommunitySlug> {
    slugs.iter().map(|slug| slug.parse().expect("communities of this crate have slugs")).collect()
}

fn skills(mut level: impl FnMut(&str) -> u8) -> Vec<SkillLevel> {
    let mut names: Vec<&str> = WORKS.iter().map(|work| work.skill).collect();
    names.sort_unstable();
    names.dedup();
    let all = names.into_iter().map(|name| SkillLevel { skill: word(name), level: level(name) });
    all.filter(|skill| skill.level > 0).collect()
}

/// 1 January 2025: the ids of residents sort by their number from there, a second apart.
const FIRST_RESIDENT_MS: u64 = 1_735_689_600_000;

fn resident(kind: WorldKind, city: &City, number: usize, chance: &mut Chance) -> Resident {
    let swiss = city.country == Country::Ch;
    let id = FriendId(chance.uuid(FIRST_RESIDENT_MS + 1_000 * number as u64));
    let name = format!("{} {}", chance.pick(FIRST_NAMES), chance.pick(LAST_NAMES));
    // Nearly everybody can do Wi-Fi; the rest is a matter of taste.
    let skills = skills(|skill| {
        let likely = if matches!(skill, "wifi" | "computer") { 0.9 } else { 0.65 };
        if chance.happens(likely) { 1 + chance.below(5) as u8 } else { 0 }
    });
    let mut languages = vec![Language::De];
    for (language, share) in [(Language::En, 0.7), (Language::Fr, 0.1), (Language::It, 0.08), (Language::Pl, 0.08)] {
        if chance.happens(share) {
            languages.push(language);
        }
    }
    let phone_customer = !swiss && chance.happens(0.5);
    let mut member_of = Vec::new();
    if swiss {
        member_of.push(ZURICH);
    } else {
        for (community, share) in [(BERLIN_GUIDE, 0.6), (BERLIN_FIXED, 0.6), (BERLIN_OPEN, 0.2)] {
            if chance.happens(share) {
                member_of.push(community);
            }
        }
        if phone_customer || member_of.is_empty() {
            member_of.push(BERLIN_HOURLY);
        }
    }
    // 7 to 30 € in steps of half a euro, most of them below 20.
    let rate = 700 + 50 * (46.0 * chance.unit() * chance.unit()) as i64;
    let radius_m = match kind {
        WorldKind::Dense => 100 * (20.0 + chance.below(130) as f64) as u32,
        WorldKind::Pilot => 30_000,
    };
    let pace_m_s = if chance.happens(0.4) { chance.between(3.5, 6.0) } else { chance.between(1.0, 1.6) };
    Resident {
        home: city.home(chance),
        pace_m_s,
        profile: Friend {
            skills,
            languages,
            communities: slugs(&member_of),
            radius_m,
            hourly_rate: (!swiss).then_some(Money { amount: rate, currency: Currency::Eur }),
            customer_of: if phone_customer { vec![PHONE_COMPANY.parse().expect("a slug")] } else { Vec::new() },
            ..Friend::new(id, &name, city.country)
        },
    }
}

fn draft(
    partner: &str,
    community: &str,
    city: &City,
    place: Point,
    address: kiez_protocol::partner::Address,
    chance: &mut Chance,
    now: Time,
) -> Draft {
    let work = &WORKS[chance.weighted(WORKS.iter().map(|work| work.weight))];
    let language = match chance.weighted([0.86, 0.09, 0.02, 0.01, 0.02].into_iter()) {
        0 => Language::De,
        1 => Language::En,
        2 => Language::Fr,
        3 => Language::It,
        _ => Language::Pl,
    };
    let urgency = match chance.weighted([0.8, 0.15, 0.05].into_iter()) {
        0 => Urgency::Normal,
        1 => Urgency::Urgent,
        _ => Urgency::Relaxed,
    };
    let name = format!("{} {}", chance.pick(FIRST_NAMES), chance.pick(LAST_NAMES));
    Draft {
        partner: partner.parse().expect("partners of this crate have slugs"),
        job: PostJob {
            package: packages::slug_of(work, community).parse().expect("packages of this crate have slugs"),
            community: None,
            location: place,
            address,
            customer: Customer {
                email: Some(format!("{}@example.org", name.to_lowercase().replace(' ', "."))),
                name,
                phone: format!("{}{:07}", city.phone_prefix, chance.below(10_000_000)),
                language,
            },
            answers: answers(work, chance),
            windows: windows(urgency, chance, now),
            urgency,
            payment_method: *chance.pick(&[PaymentMethod::CardOnline, PaymentMethod::CardOnSite, PaymentMethod::Cash]),
            max_hourly_rate: (community == BERLIN_HOURLY && chance.happens(0.3))
                .then(|| Money { amount: 1_500 + 500 * chance.below(4) as i64, currency: Currency::Eur }),
            partner_ref: Some(format!("K-{:06}", chance.below(1_000_000))),
            friend: None,
            fallback: false,
        },
    }
}

fn answers(work: &Work, chance: &mut Chance) -> Answers {
    let mut answers = Answers::new();
    answers.insert(work.device_question(), Answer::Text((*chance.pick(work.devices)).to_owned()));
    answers.insert(word("problem"), Answer::Text((*chance.pick(PROBLEMS)).to_owned()));
    if chance.happens(0.5) {
        answers.insert(word("lift"), Answer::YesNo(chance.happens(0.4)));
    }
    answers
}

/// One to three windows of three hours, beginning on a full hour: within a day, three days or a week.
fn windows(urgency: Urgency, chance: &mut Chance, now: Time) -> Vec<Window> {
    const HOUR_MS: i64 = 3_600_000;
    let (first_h, span_h) = match urgency {
        Urgency::Urgent => (2, 8),
        Urgency::Normal => (12, 60),
        Urgency::Relaxed => (80, 80),
    };
    let mut windows: Vec<Window> = (0..1 + chance.below(3))
        .map(|_| {
            let hours = first_h + chance.below(span_h) as i64;
            let from = Time(now.0.div_euclid(HOUR_MS) * HOUR_MS) + hours * HOUR_MS;
            Window { from, to: from + 3 * HOUR_MS }
        })
        .collect();
    windows.sort_by_key(|window| window.from);
    windows.dedup();
    windows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kiez_protocol::directory::{Package, Pricing};

    use super::*;

    #[test]
    fn the_same_seed_is_the_same_city() {
        let text = |seed| {
            let world = World::new(WorldKind::Dense, 50, seed);
            let mut chance = Chance::of(seed, "jobs", 0);
            let jobs: Vec<PostJob> = (0..20).map(|_| world.job(&mut chance, Time(1_000_000)).job).collect();
            serde_json::to_string(&(world.documents(), jobs)).unwrap()
        };
        assert_eq!(text(3), text(3));
        assert_ne!(text(3), text(4));
        let world = World::new(WorldKind::Dense, 400, 1);
        let ids: BTreeSet<FriendId> = world.residents.iter().map(|resident| resident.profile.id).collect();
        assert_eq!(ids.len(), 400);
    }

    #[test]
    fn every_document_reads_back_and_names_only_what_comes_before_it() {
        let world = World::new(WorldKind::Dense, 30, 1);
        let mut communities = BTreeSet::new();
        let mut partners = BTreeSet::new();
        for document in world.documents() {
            let line = serde_json::to_string(&document).unwrap();
            assert!(line.len() < 16 << 10, "a line of an import is at most 16 KiB");
            assert_eq!(serde_json::from_str::<ImportLine>(&line).unwrap(), document);
            match document {
                ImportLine::Community(community) => {
                    communities.insert(community.slug);
                }
                ImportLine::Package(package) => {
                    assert!(package.communities.iter().all(|slug| communities.contains(slug)));
                }
                ImportLine::Partner(partner) => {
                    assert!(communities.contains(&partner.community.unwrap()));
                    partners.insert(partner.slug);
                }
                ImportLine::Friend(friend) => {
                    assert!(!friend.communities.is_empty());
                    assert!(friend.communities.iter().all(|slug| communities.contains(slug)));
                    assert!(friend.customer_of.iter().all(|slug| partners.contains(slug)));
                }
            }
        }
    }

    #[test]
    fn fixed_prices_leave_at_least_25_euros_and_jobs_fit_their_package() {
        let all: Vec<Package> = packages::packages();
        for package in &all {
            if let Pricing::Fixed { price } = package.pricing {
                assert!(price.amount * 85 / 100 >= 2_500, "{}", package.slug);
            }
        }
        let world = World::new(WorldKind::Dense, 1, 1);
        let mut chance = Chance::new(1);
        for _ in 0..500 {
            let draft = world.job(&mut chance, Time(1_760_000_000_000));
            let package = all.iter().find(|package| package.slug == draft.job.package).unwrap();
            for question in package.questions.iter().filter(|question| question.required) {
                assert!(draft.job.answers.contains_key(&question.name), "{} {}", package.slug, question.name);
            }
            assert!(draft.job.windows.iter().all(|window| window.from < window.to));
            assert!(serde_json::to_vec(&draft.job).unwrap().len() < 4 << 10);
        }
    }

    #[test]
    fn the_pilot_is_sparse_and_stays_in_berlin() {
        let world = World::new(WorldKind::Pilot, WorldKind::Pilot.friends(), 1);
        assert_eq!(world.residents.len(), 60);
        assert!(world.residents.iter().all(|resident| resident.profile.country == Country::De));
        assert!(world.partners().iter().all(|partner| partner.as_str() != "zurich-provider"));
        let guest = world.guest(0);
        assert_ne!(guest.profile.id, world.residents[0].profile.id);
        let near = world.job_near(guest.home, 800.0, &mut Chance::new(1), Time(0));
        assert!(near.job.location.distance_m(guest.home) <= 801.0);
    }
}
