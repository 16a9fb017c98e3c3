//! One edition of a world: the same places, people and jobs under names and ids of its own, so that two runs on one server
//! do not see each other's jobs. Everybody keeps their order: ids of an edition sort as those of the world do.

use kiez_protocol::directory::{ImportLine, PartnerQuota};
use kiez_protocol::ids::{CommunitySlug, FriendId, PackageSlug, PartnerSlug};
use uuid::Uuid;

use super::{Draft, World};

/// The bits of an id of version 7 that are neither time nor version nor variant.
const CHANCE_BITS: u128 = (1 << 62) - 1;

/// An edition's names.
#[derive(Clone, Debug)]
pub struct Edition {
    ending: String,
    bits: u128,
}

impl Edition {
    /// A new edition, unlike all before.
    pub fn new() -> Edition {
        let id = Uuid::new_v4();
        Edition { ending: id.simple().to_string()[..8].to_owned(), bits: id.as_u128() & CHANCE_BITS }
    }

    /// What the directory must know of a world in this edition.
    pub fn documents(&self, world: &World) -> Vec<ImportLine> {
        let mut documents = world.documents();
        for document in &mut documents {
            match document {
                ImportLine::Community(community) => self.community(&mut community.slug),
                ImportLine::Package(package) => {
                    self.package(&mut package.slug);
                    package.communities.iter_mut().for_each(|slug| self.community(slug));
                }
                ImportLine::Partner(partner) => {
                    self.partner(&mut partner.slug);
                    partner.community.iter_mut().for_each(|slug| self.community(slug));
                    // A run measures the server, not what it allows one partner.
                    partner.quota = Some(PartnerQuota {
                        jobs_per_s: Some(1_000),
                        jobs_burst: Some(10_000),
                        in_flight_max: Some(10_000),
                    });
                }
                ImportLine::Friend(friend) => {
                    friend.id = FriendId(Uuid::from_u128(friend.id.0.as_u128() ^ self.bits));
                    friend.communities.iter_mut().for_each(|slug| self.community(slug));
                    friend.customer_of.iter_mut().for_each(|slug| self.partner(slug));
                }
            }
        }
        documents
    }

    /// The partners who post in it.
    pub fn partners(&self, world: &World) -> Vec<PartnerSlug> {
        let mut partners = world.partners();
        partners.iter_mut().for_each(|slug| self.partner(slug));
        partners
    }

    /// A job of the world in this edition.
    pub fn draft(&self, mut draft: Draft) -> Draft {
        self.partner(&mut draft.partner);
        self.package(&mut draft.job.package);
        draft.job.community.iter_mut().for_each(|slug| self.community(slug));
        draft
    }

    fn community(&self, slug: &mut CommunitySlug) {
        *slug = self.named(slug.as_str()).parse().expect("a slug of this crate and eight digits are a slug");
    }

    fn package(&self, slug: &mut PackageSlug) {
        *slug = self.named(slug.as_str()).parse().expect("a slug of this crate and eight digits are a slug");
    }

    fn partner(&self, slug: &mut PartnerSlug) {
        *slug = self.named(slug.as_str()).parse().expect("a slug of this crate and eight digits are a slug");
    }

    fn named(&self, slug: &str) -> String {
        format!("{slug}-{}", self.ending)
    }
}

impl Default for Edition {
    fn default() -> Self {
        Edition::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::chance::Chance;
    use crate::world::hours::Hour;

    #[test]
    fn two_editions_share_no_name_and_no_id_and_keep_the_order() {
        let world = World::city(200, 1, Hour(18.0));
        let (one, two) = (Edition::new(), Edition::new());
        let names = |edition: &Edition| -> BTreeSet<String> {
            let name = |document: ImportLine| match document {
                ImportLine::Community(community) => format!("c {}", community.slug),
                ImportLine::Package(package) => format!("p {}", package.slug),
                ImportLine::Partner(partner) => format!("r {}", partner.slug),
                ImportLine::Friend(friend) => format!("f {}", friend.id),
            };
            edition.documents(&world).into_iter().map(name).collect()
        };
        assert!(names(&one).is_disjoint(&names(&two)));
        let ids: Vec<FriendId> = one
            .documents(&world)
            .iter()
            .filter_map(|document| match document {
                ImportLine::Friend(friend) => Some(friend.id),
                ImportLine::Community(_) | ImportLine::Package(_) | ImportLine::Partner(_) => None,
            })
            .collect();
        assert_eq!(ids.len(), 200);
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.0.get_version_num() == 7 && id.0.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn a_draft_names_what_its_edition_imports() {
        let world = World::city(20, 1, Hour(9.0));
        let edition = Edition::new();
        let lines: Vec<String> =
            edition.documents(&world).iter().map(|document| serde_json::to_string(document).unwrap()).collect();
        let mut chance = Chance::new(1);
        for _ in 0..50 {
            let draft = edition.draft(world.job(&mut chance, kiez_protocol::time::Time(0)));
            let names = [draft.partner.as_str(), draft.job.package.as_str()];
            for name in names {
                assert!(lines.iter().any(|line| line.contains(&format!("\"slug\":\"{name}\""))), "{name}");
            }
            assert!(edition.partners(&world).contains(&draft.partner));
        }
    }
}
