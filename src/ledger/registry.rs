//! What admins write: communities, packages, partners, friends, API keys. It works beside a running server, which sees
//! the raised `directory_version` and reads the directory again.
//!
//! Each write is one transaction in a task of its own, so that a caller who goes away cannot leave it half-way, and
//! begins by raising `directory_version`: that row is also the lock that keeps two admins apart.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::directory::{Community, Friend, ImportLine, ImportReport, Package, Partner};
use kiez_protocol::ids::{CommunitySlug, FriendId, PartnerSlug};
use kiez_protocol::profile::Account;
use kiez_protocol::time::Time;

use super::audit::{self, AuditLine};
use super::documents;
use super::either::{Arg, Session};
use super::facts;
use super::open_error::passes;
use super::outbox::Bell;
use super::photos;
use super::pool::{Pool, Work};
use super::rows::hex;
use crate::dispatch::effect::{AuditRow, By};

/// Why an admin's write did not happen. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It contradicts what is stored: the subject of another friend, an API key's id used twice.
    #[error("it contradicts what is stored: {0}")]
    Refused(String),
    /// A key for a partner who does not exist.
    #[error("there is no partner {0}")]
    UnknownPartner(PartnerSlug),
    /// There is no such friend.
    #[error("there is no friend {0}")]
    UnknownFriend(FriendId),
    /// There is no such community.
    #[error("there is no community {0}")]
    UnknownCommunity(CommunitySlug),
    /// Somebody has this id already.
    #[error("there is a friend {0} already")]
    KnownFriend(FriendId),
    /// Another version stands than the one that was to be replaced.
    #[error("version {stands} stands by now")]
    Conflict {
        /// Which; 0 where there is none.
        stands: u32,
    },
    /// The database did not answer.
    #[error("the ledger cannot be reached")]
    Unreachable(#[source] sqlx::Error),
}

impl RegistryError {
    /// Why, for the log: without a value of the data.
    pub fn facts(&self) -> String {
        match self {
            RegistryError::Unreachable(error) => facts(error),
            RegistryError::Refused(_) => "refused".to_owned(),
            RegistryError::UnknownPartner(_)
            | RegistryError::UnknownFriend(_)
            | RegistryError::UnknownCommunity(_)
            | RegistryError::KnownFriend(_)
            | RegistryError::Conflict { .. } => self.to_string(),
        }
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, RegistryError::Unreachable(error) if passes(error))
    }
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> RegistryError {
        match &error {
            sqlx::Error::Database(refusal) if refusal.is_unique_violation() || refusal.is_check_violation() => {
                RegistryError::Refused(refusal.message().to_owned())
            }
            _ => RegistryError::Unreachable(error),
        }
    }
}

/// The directory as it is stored: communities in all their versions, because their policies have dates; the rest in its
/// newest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectoryRows {
    /// The version of the whole; it was at least this when the rest was read.
    pub version: u64,
    /// Communities with their versions, by slug and version.
    pub communities: Vec<(Community, u32)>,
    /// Packages with their versions.
    pub packages: Vec<(Package, u32)>,
    /// Partners.
    pub partners: Vec<Partner>,
    /// Friends.
    pub friends: Vec<Friend>,
    /// Friends who have a photo, and those who have none any more.
    pub photos: Vec<(FriendId, bool)>,
}

/// The admin door.
#[derive(Clone, Debug)]
pub struct Registry(pub(super) Pool, Bell);

impl Registry {
    pub(super) fn new(pool: Pool, bell: Bell) -> Registry {
        Registry(pool, bell)
    }

    pub(super) fn pool(&self) -> Pool {
        self.0.clone()
    }

    pub(super) fn bell(&self) -> Bell {
        self.1.clone()
    }

    /// Stores a community; its version. A document equal to the newest makes no new version.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_community(&self, community: Community, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Community(community), None, by).await.map(|stored| stored.version)
    }

    /// Stores a package; its version, as with communities.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_package(&self, package: Package, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Package(package), None, by).await.map(|stored| stored.version)
    }

    /// Stores a partner; its version, as with communities.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_partner(&self, partner: Partner, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Partner(partner), None, by).await.map(|stored| stored.version)
    }

    /// Stores a friend's profile in place of the one before; its version.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] if the subject is another friend's.
    pub async fn put_friend(&self, friend: Friend, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Friend(friend), None, by).await.map(|stored| stored.version)
    }

    /// Stores one document, with an entry of the audit log if that changed anything. With `expected` only in the place of
    /// that version.
    ///
    /// # Errors
    /// [`RegistryError`]; [`RegistryError::Conflict`] if another version stands.
    pub async fn put(&self, line: ImportLine, expected: Option<u32>, by: &By) -> Result<Stored, RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let mut audit = Vec::new();
            if let Some(expected) = expected {
                let stands = standing(session, &line).await?;
                if stands != expected {
                    return Err(RegistryError::Conflict { stands });
                }
            }
            let stored = match &line {
                ImportLine::Friend(friend) => {
                    let before = documents::friend_version(session, friend.id).await?;
                    let accounts = documents::accounts(session, std::slice::from_ref(friend)).await?;
                    let changed = documents::put_friends(session, std::slice::from_ref(friend)).await?;
                    let version = before.map_or(1, |version| version + u32::from(changed));
                    if changed {
                        audit.push(by.did("friend_stored", SubjectKind::Friend, friend.id).with("version", version));
                    }
                    audit.extend(account_changes(&accounts, std::slice::from_ref(friend), &by));
                    Stored { version, changed }
                }
                line => put_document(session, line, &by, &mut audit).await?,
            };
            audit::put(session, &audit.iter().map(AuditLine::of).collect::<Vec<_>>()).await?;
            end(work, stored.changed).await?;
            Ok(stored)
        })
        .await
    }

    /// Stores all documents or none, with an entry of the audit log for the whole, for each community, package and partner
    /// that is new or changed, and for each friend whose account is another than before. Of two with the same name the later
    /// stands.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn import(&self, lines: Vec<ImportLine>, by: &By) -> Result<ImportReport, RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let mut report = ImportReport::default();
            let (mut friends, mut audit) = (Vec::new(), Vec::new());
            let mut changed = false;
            for line in lines {
                *report.imported.entry(kind(&line).to_owned()).or_default() += 1;
                match line {
                    ImportLine::Friend(friend) => friends.push(friend),
                    line => changed |= put_document(session, &line, &by, &mut audit).await?.changed,
                }
            }
            let accounts = documents::accounts(session, &friends).await?;
            changed |= documents::put_friends(session, &friends).await?;
            audit.extend(account_changes(&accounts, &friends, &by));
            if changed {
                let mut whole = by.did("directory_imported", SubjectKind::Directory, "directory");
                for (kind, name) in [
                    ("community", "communities"),
                    ("package", "packages"),
                    ("partner", "partners"),
                    ("friend", "friends"),
                ] {
                    if let Some(count) = report.imported.get(kind) {
                        whole = whole.with(name, count);
                    }
                }
                audit.push(whole);
            }
            audit::put(session, &audit.iter().map(AuditLine::of).collect::<Vec<_>>()).await?;
            end(work, changed).await?;
            Ok(report)
        })
        .await
    }

    /// Takes in a friend who is not known yet: an application.
    ///
    /// # Errors
    /// [`RegistryError::KnownFriend`]; [`RegistryError::Refused`] if the subject is another friend's.
    pub async fn apply(&self, friend: Friend, by: &By) -> Result<(), RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            if documents::friend_version(session, friend.id).await?.is_some() {
                return Err(RegistryError::KnownFriend(friend.id));
            }
            documents::put_friends(session, std::slice::from_ref(&friend)).await?;
            let applied = by.did("friend_applied", SubjectKind::Friend, friend.id).with("to", friend.account.as_str());
            audit::put(session, &[AuditLine::of(&applied)]).await?;
            end(work, true).await?;
            Ok(())
        })
        .await
    }

    /// Changes a friend's profile as it stands, with the entries of the audit log that tell of it. What `change` refuses
    /// is not written. Gives back the profile, its version, and what `change` found.
    ///
    /// # Errors
    /// [`RegistryError::UnknownFriend`]; else as for [`Registry::put`].
    pub async fn change_friend<T: Send + 'static, E: Send + 'static>(
        &self,
        friend: FriendId,
        change: impl FnOnce(&mut Friend) -> Result<(Vec<AuditRow>, T), E> + Send + 'static,
    ) -> Result<Result<(Friend, u32, T), E>, RegistryError> {
        let pool = self.0.clone();
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let stored = documents::friend(session, friend).await?;
            let (mut profile, version) = stored.ok_or(RegistryError::UnknownFriend(friend))?;
            let (rows, found) = match change(&mut profile) {
                Ok(changed) => changed,
                Err(refused) => {
                    end(work, false).await?;
                    return Ok(Err(refused));
                }
            };
            let changed = documents::put_friends(session, std::slice::from_ref(&profile)).await?;
            audit::put(session, &rows.iter().map(AuditLine::of).collect::<Vec<_>>()).await?;
            end(work, changed || !rows.is_empty()).await?;
            Ok(Ok((profile, version + u32::from(changed), found)))
        })
        .await
    }

    /// Sets or releases the brake of a community, in a new version of it; the version that stands then.
    ///
    /// # Errors
    /// [`RegistryError::UnknownCommunity`].
    pub async fn set_brake(
        &self,
        community: CommunitySlug,
        on: bool,
        reason: String,
        by: &By,
    ) -> Result<u32, RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let stored = documents::newest_of::<Community>(session, "community", community.as_str()).await?;
            let (mut document, _) = stored.ok_or_else(|| RegistryError::UnknownCommunity(community.clone()))?;
            document.brake = on.then_some(true);
            let (version, _) = documents::put(session, "community", community.as_str(), &document).await?;
            // Also where it stood so before: somebody found a reason to say it.
            let action = if on { "brake_set" } else { "brake_released" };
            let row = by.did(action, SubjectKind::Community, &community).with("version", version).because(&reason);
            audit::put(session, &[AuditLine::of(&row)]).await?;
            end(work, true).await?;
            Ok(version)
        })
        .await
    }

    /// Stores an API key of a partner: its id, which is part of the key, and the SHA-256 of the key. The key itself
    /// never comes here.
    ///
    /// # Errors
    /// [`RegistryError::UnknownPartner`]; [`RegistryError::Refused`] if the id is taken.
    pub async fn create_api_key(
        &self,
        partner: PartnerSlug,
        id: String,
        sha256: [u8; 32],
        by: &By,
    ) -> Result<(), RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let known = session
                .first(
                    "select 1 as one from documents where kind = 'partner' and slug = $1",
                    [Arg::Text(partner.as_str())],
                )
                .await?;
            if known.is_none() {
                return Err(RegistryError::UnknownPartner(partner));
            }
            let now = session.now().await?;
            session
                .run(
                    "insert into partner_api_keys (id, partner, sha256, created_at) values ($1, $2, $3, $4)",
                    [Arg::Text(&id), Arg::Text(partner.as_str()), Arg::Text(&hex(&sha256)), Arg::Int(now.0)],
                )
                .await?;
            let made = by.did("partner_key_made", SubjectKind::Partner, &partner).with("key", &id);
            audit::put(session, &[AuditLine::of(&made)]).await?;
            end(work, true).await?;
            Ok(())
        })
        .await
    }

    /// Writes down that somebody has looked at something. It is there before they see it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn note(&self, entry: AuditRow) -> Result<(), RegistryError> {
        let pool = self.0.clone();
        whole(async move {
            let mut work = pool.begin().await?;
            audit::put(&mut work.session(), &[AuditLine::of(&entry)]).await?;
            work.commit().await?;
            Ok(())
        })
        .await
    }

    /// Ends an API key; whether there was one to end.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn revoke_api_key(&self, id: String, by: &By) -> Result<bool, RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let now = session.now().await?;
            let ended = session
                .first(
                    "update partner_api_keys set revoked_at = $2 where id = $1 and revoked_at is null returning partner",
                    [Arg::Text(&id), Arg::Int(now.0)],
                )
                .await?;
            let Some(ended) = ended else {
                end(work, false).await?;
                return Ok(false);
            };
            let revoked = by.did("partner_key_revoked", SubjectKind::Partner, ended.text("partner")?).with("key", &id);
            audit::put(session, &[AuditLine::of(&revoked)]).await?;
            end(work, true).await?;
            Ok(true)
        })
        .await
    }

    /// Grows with every change of the directory.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn directory_version(&self) -> Result<u64, RegistryError> {
        Ok(documents::directory_version(&mut self.0.lease().await?.session()).await?)
    }

    /// The whole directory.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn load_directory(&self) -> Result<DirectoryRows, RegistryError> {
        self.load_changes(0).await
    }

    /// What has come into the directory since it was at this version: a friend who changes their radius costs one row, not
    /// all of them.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn load_changes(&self, since: u64) -> Result<DirectoryRows, RegistryError> {
        let mut lease = self.0.lease().await?;
        let mut session = lease.session();
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        // The version first: a change in between is then read twice, and never missed.
        let version = documents::directory_version(&mut session).await?;
        let communities = documents::all(&mut session, "community", since).await?;
        let packages = documents::newest(&mut session, "package", since).await?;
        let partners: Vec<(Partner, u32)> = documents::newest(&mut session, "partner", since).await?;
        let friends =
            session.all("select doc from friends where directory_version > $1 order by id", [Arg::Int(since)]).await?;
        Ok(DirectoryRows {
            version,
            communities,
            packages,
            partners: partners.into_iter().map(|(partner, _)| partner).collect(),
            friends: friends.iter().map(|row| row.doc("doc")).collect::<sqlx::Result<_>>()?,
            photos: photos::changes(&mut session, since).await?,
        })
    }

    /// Stores a single value under `key` unless there is one; the value that stands. For what a database must keep from
    /// its first start on, such as the anchor of its clock.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn keep(&self, key: &str, value: &str) -> Result<String, RegistryError> {
        let mut lease = self.0.lease().await?;
        let mut session = lease.session();
        session
            .run(
                "insert into meta (key, value) values ($1, $2) on conflict (key) do nothing",
                [Arg::Text(key), Arg::Text(value)],
            )
            .await?;
        let row = session.first("select value from meta where key = $1", [Arg::Text(key)]).await?;
        Ok(row.ok_or(sqlx::Error::RowNotFound)?.text("value")?.to_owned())
    }

    /// The instant that was stored under `key` last; none if nothing was, or it cannot be read.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn instant(&self, key: &str) -> Result<Option<Time>, RegistryError> {
        let mut lease = self.0.lease().await?;
        let row = lease.session().first("select value from meta where key = $1", [Arg::Text(key)]).await?;
        let value = row.map(|row| row.text("value").map(str::to_owned)).transpose()?;
        Ok(value.and_then(|value| value.parse().ok()).map(Time))
    }

    /// Stores an instant under `key` in place of what was there: when something was done last that is done now and then.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn set_instant(&self, key: &str, at: Time) -> Result<(), RegistryError> {
        let mut lease = self.0.lease().await?;
        lease
            .session()
            .run(
                "insert into meta (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value",
                [Arg::Text(key), Arg::Text(&at.0.to_string())],
            )
            .await?;
        Ok(())
    }
}

/// What became of a document that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its version, from 1.
    pub version: u32,
    /// Whether this version is new; a document equal to the newest changes nothing.
    pub changed: bool,
}

fn kind(line: &ImportLine) -> &'static str {
    match line {
        ImportLine::Community(_) => "community",
        ImportLine::Package(_) => "package",
        ImportLine::Partner(_) => "partner",
        ImportLine::Friend(_) => "friend",
    }
}

/// The version of a document that stands; 0 where there is none.
async fn standing(session: &mut Session<'_>, line: &ImportLine) -> sqlx::Result<u32> {
    let slug = match line {
        ImportLine::Friend(friend) => return Ok(documents::friend_version(session, friend.id).await?.unwrap_or(0)),
        ImportLine::Community(doc) => doc.slug.as_str(),
        ImportLine::Package(doc) => doc.slug.as_str(),
        ImportLine::Partner(doc) => doc.slug.as_str(),
    };
    documents::version(session, kind(line), slug).await
}

/// Stores a community, package or partner.
async fn put_document(
    session: &mut Session<'_>,
    line: &ImportLine,
    by: &By,
    audit: &mut Vec<AuditRow>,
) -> sqlx::Result<Stored> {
    let (kind, slug, (version, changed), action) = match line {
        ImportLine::Community(doc) => {
            let slug = doc.slug.as_str();
            // What a document does not say of the brake it does not change: ops may have set it since its author looked.
            let stands = match doc.brake {
                Some(said) => said,
                None => documents::is_braked(session, slug).await?,
            };
            let doc = Community { brake: stands.then_some(true), ..doc.clone() };
            (SubjectKind::Community, slug, documents::put(session, "community", slug, &doc).await?, "community_stored")
        }
        ImportLine::Package(doc) => {
            let slug = doc.slug.as_str();
            (SubjectKind::Package, slug, documents::put(session, "package", slug, doc).await?, "package_stored")
        }
        ImportLine::Partner(doc) => {
            let slug = doc.slug.as_str();
            (SubjectKind::Partner, slug, documents::put(session, "partner", slug, doc).await?, "partner_stored")
        }
        ImportLine::Friend(_) => unreachable!("friends are put together"),
    };
    if changed {
        audit.push(by.did(action, kind, slug).with("version", version));
    }
    Ok(Stored { version, changed })
}

/// An entry for each friend whose account is another than it was.
fn account_changes(before: &HashMap<FriendId, Account>, friends: &[Friend], by: &By) -> Vec<AuditRow> {
    let last: BTreeMap<_, _> = friends.iter().map(|friend| (friend.id, &friend.account)).collect();
    let other = last.into_iter().filter_map(|(id, to)| {
        let from = before.get(&id).filter(|from| *from != to)?;
        Some(account_change(by, "account_stored", id, from, to))
    });
    other.collect()
}

/// The entry of an account that moves.
pub(super) fn account_change(
    by: &By,
    action: &'static str,
    friend: FriendId,
    from: &Account,
    to: &Account,
) -> AuditRow {
    let row = by.did(action, SubjectKind::Friend, friend).with("from", from.as_str()).with("to", to.as_str());
    match to {
        Account::Limited { reason } | Account::Suspended { reason } => row.because(reason),
        Account::Applied | Account::Checked | Account::Tested | Account::Active | Account::Left => row,
    }
}

/// Runs a change to its end even if the caller goes away.
pub(super) async fn whole<T: Send + 'static>(
    change: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::spawn(change).await.expect("a change of the registry does not panic")
}

pub(super) async fn begin(pool: &Pool) -> sqlx::Result<Work> {
    let mut work = pool.begin().await?;
    work.session()
        .run("update meta set value = cast(cast(value as bigint) + 1 as text) where key = 'directory_version'", [])
        .await?;
    Ok(work)
}

/// Commits what has changed something. What has not leaves the version of the directory as it was.
pub(super) async fn end(work: Work, changed: bool) -> sqlx::Result<()> {
    if changed { work.commit().await } else { work.rollback().await }
}
