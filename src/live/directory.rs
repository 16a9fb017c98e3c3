//! What admins maintain, as the server reads it: communities, packages and partners as snapshots that are replaced
//! whole, friends one by one. The ledger has the truth; this is filled from it at the start and after every change.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use kiez_protocol::directory::{Community, Friend, Package, Partner};
use kiez_protocol::ids::{CommunitySlug, FriendId, PackageSlug, PartnerSlug};
use kiez_protocol::time::Time;

use super::listed::Listing;

/// All documents.
#[derive(Debug, Default)]
pub struct Directory {
    communities: Documents<CommunitySlug, Community>,
    packages: Documents<PackageSlug, Package>,
    partners: Documents<PartnerSlug, Partner>,
    friends: DashMap<FriendId, Arc<Friend>>,
    /// Those of them who want to be found.
    listing: Listing,
    /// Friends who have a photo.
    photos: DashMap<FriendId, ()>,
    /// Only friends whose name in tokens is not their id.
    subjects: DashMap<String, FriendId>,
}

impl Directory {
    /// Without any document.
    pub fn new() -> Directory {
        Directory::default()
    }

    /// A community and its newest version.
    pub fn community(&self, slug: &CommunitySlug) -> Option<(Arc<Community>, u32)> {
        self.communities.newest(slug)
    }

    /// A community in the newest version whose policy is valid at `now`: what a job posted then goes by.
    pub fn community_at(&self, slug: &CommunitySlug, now: Time) -> Option<(Arc<Community>, u32)> {
        self.communities.newest_that(slug, |community| community.policy.is_valid(now))
    }

    /// A community as it was in a version: for jobs posted under it.
    pub fn community_version(&self, slug: &CommunitySlug, version: u32) -> Option<Arc<Community>> {
        self.communities.version(slug, version)
    }

    /// A package and its newest version.
    pub fn package(&self, slug: &PackageSlug) -> Option<(Arc<Package>, u32)> {
        self.packages.newest(slug)
    }

    /// A package as it was in a version: for jobs posted under it.
    pub fn package_version(&self, slug: &PackageSlug, version: u32) -> Option<Arc<Package>> {
        self.packages.version(slug, version)
    }

    /// A partner and its newest version.
    pub fn partner(&self, slug: &PartnerSlug) -> Option<(Arc<Partner>, u32)> {
        self.partners.newest(slug)
    }

    /// The newest version of every community, by slug.
    pub fn communities(&self) -> Vec<Arc<Community>> {
        self.communities.all()
    }

    /// The newest version of every package, by slug.
    pub fn packages(&self) -> Vec<Arc<Package>> {
        self.packages.all()
    }

    /// A friend.
    pub fn friend(&self, friend: FriendId) -> Option<Arc<Friend>> {
        self.friends.get(&friend).map(|friend| friend.clone())
    }

    /// The friend whom a token calls `subject`: by the name the identity service has for them, else by id.
    pub fn friend_by_subject(&self, subject: &str) -> Option<FriendId> {
        let named = self.subjects.get(subject).map(|friend| *friend);
        let friend = named.or_else(|| subject.parse().ok()).and_then(|friend| self.friend(friend))?;
        match &friend.subject {
            Some(own) => (own == subject).then_some(friend.id),
            None => Some(friend.id),
        }
    }

    /// Friends who chose to be listed and may be shown.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Whether a friend has a photo.
    pub fn has_photo(&self, friend: FriendId) -> bool {
        self.photos.contains_key(&friend)
    }

    /// Takes in that a friend has a photo, or none any more.
    pub fn put_photo(&self, friend: FriendId, is_there: bool) {
        if is_there {
            self.photos.insert(friend, ());
        } else {
            self.photos.remove(&friend);
        }
    }

    /// How many friends there are.
    pub fn friends_len(&self) -> usize {
        self.friends.len()
    }

    /// Takes in a version of a community. An older one than the newest is kept beside it.
    pub fn put_community(&self, community: Community, version: u32) {
        self.communities.put(community.slug.clone(), community, version);
    }

    /// Takes in a version of a package. An older one than the newest is kept beside it.
    pub fn put_package(&self, package: Package, version: u32) {
        self.packages.put(package.slug.clone(), package, version);
    }

    /// Takes in a version of a partner. An older one than the newest is kept beside it.
    pub fn put_partner(&self, partner: Partner, version: u32) {
        self.partners.put(partner.slug.clone(), partner, version);
    }

    /// Takes in a friend, in place of what was known of them. Returns the shared profile, for the roster.
    pub fn put_friend(&self, friend: Friend) -> Arc<Friend> {
        let friend = Arc::new(friend);
        let before = self.friends.insert(friend.id, friend.clone());
        self.listing.put(&friend);
        if let Some(subject) = before.and_then(|before| before.subject.clone())
            && friend.subject.as_ref() != Some(&subject)
        {
            self.subjects.remove_if(&subject, |_, named| *named == friend.id);
        }
        if let Some(subject) = &friend.subject {
            self.subjects.insert(subject.clone(), friend.id);
        }
        friend
    }
}

/// One kind of document: read by everybody at any time, changed by an admin now and then. Every version that was put in
/// is kept: open jobs go by theirs, and an admin makes few.
#[derive(Debug)]
struct Documents<K, T>(ArcSwap<HashMap<K, Versions<T>>>);

type Versions<T> = Arc<BTreeMap<u32, Arc<T>>>;

impl<K, T> Default for Documents<K, T> {
    fn default() -> Self {
        Documents(ArcSwap::from_pointee(HashMap::new()))
    }
}

impl<K: Eq + Hash + Ord + Clone, T> Documents<K, T> {
    fn newest(&self, key: &K) -> Option<(Arc<T>, u32)> {
        self.newest_that(key, |_| true)
    }

    fn newest_that(&self, key: &K, fits: impl Fn(&T) -> bool) -> Option<(Arc<T>, u32)> {
        let documents = self.0.load();
        let fitting = documents.get(key)?.iter().rev().find(|(_, document)| fits(document));
        fitting.map(|(version, document)| (document.clone(), *version))
    }

    fn version(&self, key: &K, version: u32) -> Option<Arc<T>> {
        self.0.load().get(key)?.get(&version).cloned()
    }

    fn all(&self) -> Vec<Arc<T>> {
        let documents = self.0.load();
        let mut all: Vec<_> =
            documents.iter().filter_map(|(key, versions)| Some((key, versions.values().last()?))).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter().map(|(_, document)| document.clone()).collect()
    }

    fn put(&self, key: K, document: T, version: u32) {
        let document = Arc::new(document);
        self.0.rcu(|documents| {
            let mut documents = HashMap::clone(documents);
            let versions = documents.entry(key.clone()).or_default();
            Arc::make_mut(versions).insert(version, document.clone());
            documents
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn friend(id: u128, subject: Option<&str>) -> Friend {
        let id = Uuid::from_u128(id);
        serde_json::from_value(
            json!({"id": id, "subject": subject, "name": "Ada", "communities": ["berlin"], "country": "DE"}),
        )
        .expect("a friend as on the wire")
    }

    fn partner(name: &str) -> Partner {
        Partner { slug: "shop".parse().unwrap(), name: name.into(), community: None, commission: None, quota: None }
    }

    #[test]
    fn the_newest_version_is_shown_and_the_older_are_kept() {
        let directory = Directory::new();
        let slug = "shop".parse().unwrap();
        assert!(directory.partner(&slug).is_none());
        directory.put_partner(partner("second"), 2);
        directory.put_partner(partner("first"), 1);
        let (newest, version) = directory.partner(&slug).unwrap();
        assert_eq!((newest.name.as_str(), version), ("second", 2));
        assert_eq!(directory.partners.version(&slug, 1).unwrap().name, "first");
        assert!(directory.partners.version(&slug, 3).is_none());
        assert_eq!(directory.partners.all().len(), 1);
    }

    #[test]
    fn a_job_goes_by_the_newest_policy_that_is_valid_when_it_is_posted() {
        let directory = Directory::new();
        let community = |from: Option<i64>, until: Option<i64>| -> Community {
            let policy = json!({"valid_from": from.map(Time), "valid_until": until.map(Time)});
            serde_json::from_value(json!({
                "slug": "berlin", "brand": "Berlin", "country": "DE", "currency": "EUR",
                "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000}, "policy": policy,
            }))
            .expect("a community as on the wire")
        };
        let slug = "berlin".parse().unwrap();
        directory.put_community(community(None, Some(900)), 1);
        directory.put_community(community(Some(300), Some(600)), 2);
        let version_at = |now| directory.community_at(&slug, Time(now)).map(|(_, version)| version);
        assert_eq!(
            [0, 299, 300, 599, 600, 899, 900].map(version_at),
            [Some(1), Some(1), Some(2), Some(2), Some(1), Some(1), None]
        );
        assert_eq!(directory.community(&slug).map(|(_, version)| version), Some(2), "the newest, valid or not");
    }

    #[test]
    fn a_token_names_a_friend_by_subject_or_else_by_id() {
        let directory = Directory::new();
        directory.put_friend(friend(1, None));
        directory.put_friend(friend(2, Some("auth0|ada")));
        let (first, second) = (FriendId(Uuid::from_u128(1)), FriendId(Uuid::from_u128(2)));
        assert_eq!(directory.friend_by_subject(&first.to_string()), Some(first));
        assert_eq!(directory.friend_by_subject("auth0|ada"), Some(second));
        assert_eq!(directory.friend_by_subject(&second.to_string()), None, "the subject stands in place of the id");
        assert_eq!(directory.friend_by_subject("nobody"), None);
        directory.put_friend(friend(2, Some("auth0|eve")));
        assert_eq!(directory.friend_by_subject("auth0|ada"), None);
        assert_eq!(directory.friend_by_subject("auth0|eve"), Some(second));
        directory.put_friend(friend(2, None));
        assert_eq!(directory.friend_by_subject(&second.to_string()), Some(second));
        assert_eq!((directory.friends_len(), directory.subjects.len()), (2, 0));
    }
}
