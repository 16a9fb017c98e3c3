//! What admins write: communities, packages, partners, friends, API keys. It works beside a running server, which sees
//! the raised `directory_version` and reads the directory again.
//!
//! Each write is one transaction in a task of its own, so that a caller who goes away cannot leave it half-way, and
//! begins by raising `directory_version`: that row is also the lock that keeps two admins apart.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::directory::{Community, Friend, ImportLine, ImportReport, Package, Partner};
use kiez_protocol::ids::{FriendId, PartnerSlug};
use kiez_protocol::profile::Account;

use super::audit::{self, AuditLine};
use super::documents;
use super::either::{Arg, Session};
use super::facts;
use super::open_error::passes;
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
            RegistryError::UnknownPartner(partner) => format!("no partner {partner}"),
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
}

/// The admin door.
#[derive(Clone, Debug)]
pub struct Registry(Pool);

impl Registry {
    pub(super) fn new(pool: Pool) -> Registry {
        Registry(pool)
    }

    /// Stores a community; its version. A document equal to the newest makes no new version.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_community(&self, community: Community, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Community(community), by).await.map(|stored| stored.version)
    }

    /// Stores a package; its version, as with communities.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_package(&self, package: Package, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Package(package), by).await.map(|stored| stored.version)
    }

    /// Stores a partner; its version, as with communities.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_partner(&self, partner: Partner, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Partner(partner), by).await.map(|stored| stored.version)
    }

    /// Stores a friend's profile in place of the one before; its version.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] if the subject is another friend's.
    pub async fn put_friend(&self, friend: Friend, by: &By) -> Result<u32, RegistryError> {
        self.put(ImportLine::Friend(friend), by).await.map(|stored| stored.version)
    }

    /// Stores one document, with an entry of the audit log if that changed anything.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put(&self, line: ImportLine, by: &By) -> Result<Stored, RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let mut audit = Vec::new();
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
        let mut lease = self.0.lease().await?;
        let mut session = lease.session();
        // The version first: a change in between is then read twice, and never missed.
        let version = documents::directory_version(&mut session).await?;
        let communities = documents::all(&mut session, "community").await?;
        let packages = documents::newest(&mut session, "package").await?;
        let partners: Vec<(Partner, u32)> = documents::newest(&mut session, "partner").await?;
        let friends = session.all("select doc from friends order by id", []).await?;
        Ok(DirectoryRows {
            version,
            communities,
            packages,
            partners: partners.into_iter().map(|(partner, _)| partner).collect(),
            friends: friends.iter().map(|row| row.doc("doc")).collect::<sqlx::Result<_>>()?,
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
            (SubjectKind::Community, slug, documents::put(session, "community", slug, doc).await?, "community_stored")
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
async fn whole<T: Send + 'static>(
    change: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::spawn(change).await.expect("a change of the registry does not panic")
}

async fn begin(pool: &Pool) -> sqlx::Result<Work> {
    let mut work = pool.begin().await?;
    work.session()
        .run("update meta set value = cast(cast(value as bigint) + 1 as text) where key = 'directory_version'", [])
        .await?;
    Ok(work)
}

/// Commits what has changed something. What has not leaves the version of the directory as it was.
async fn end(work: Work, changed: bool) -> sqlx::Result<()> {
    if changed { work.commit().await } else { work.rollback().await }
}
