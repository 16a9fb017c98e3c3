//! What admins write: communities, packages, partners, friends, API keys. It works beside a running server, which sees
//! the raised `directory_version` and reads the directory again.
//!
//! Each write is one transaction in a task of its own, so that a caller who goes away cannot leave it half-way, and
//! begins by raising `directory_version`: that row is also the lock that keeps two admins apart.

use std::future::Future;

use kiez_protocol::directory::{Community, Friend, ImportLine, ImportReport, Package, Partner};
use kiez_protocol::ids::PartnerSlug;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::documents;
use super::either::Arg;
use super::facts;
use super::open_error::passes;
use super::pool::{Pool, Work};
use super::rows::hex;

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
    pub async fn put_community(&self, community: Community) -> Result<u32, RegistryError> {
        self.put("community", community.slug.as_str().to_owned(), community).await
    }

    /// Stores a package; its version, as with communities.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_package(&self, package: Package) -> Result<u32, RegistryError> {
        self.put("package", package.slug.as_str().to_owned(), package).await
    }

    /// Stores a partner; its version, as with communities.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_partner(&self, partner: Partner) -> Result<u32, RegistryError> {
        self.put("partner", partner.slug.as_str().to_owned(), partner).await
    }

    /// Stores a friend's profile in place of the one before.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] if the subject is another friend's.
    pub async fn put_friend(&self, friend: Friend) -> Result<(), RegistryError> {
        self.import(vec![ImportLine::Friend(friend)]).await.map(|_| ())
    }

    /// Stores all documents or none. Of two with the same name the later stands.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn import(&self, lines: Vec<ImportLine>) -> Result<ImportReport, RegistryError> {
        let pool = self.0.clone();
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let mut report = ImportReport::default();
            let mut friends = Vec::new();
            let mut changed = false;
            for line in lines {
                let kind = match line {
                    ImportLine::Community(doc) => {
                        changed |= documents::put(session, "community", doc.slug.as_str(), &doc).await?.1;
                        "community"
                    }
                    ImportLine::Package(doc) => {
                        changed |= documents::put(session, "package", doc.slug.as_str(), &doc).await?.1;
                        "package"
                    }
                    ImportLine::Partner(doc) => {
                        changed |= documents::put(session, "partner", doc.slug.as_str(), &doc).await?.1;
                        "partner"
                    }
                    ImportLine::Friend(doc) => {
                        friends.push(doc);
                        "friend"
                    }
                };
                *report.imported.entry(kind.to_owned()).or_default() += 1;
            }
            changed |= documents::put_friends(session, &friends).await?;
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
    ) -> Result<(), RegistryError> {
        let pool = self.0.clone();
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
            end(work, true).await?;
            Ok(())
        })
        .await
    }

    /// Ends an API key; whether there was one to end.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn revoke_api_key(&self, id: String) -> Result<bool, RegistryError> {
        let pool = self.0.clone();
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let now = session.now().await?;
            let ended = session
                .run(
                    "update partner_api_keys set revoked_at = $2 where id = $1 and revoked_at is null",
                    [Arg::Text(&id), Arg::Int(now.0)],
                )
                .await?;
            end(work, ended > 0).await?;
            Ok(ended > 0)
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

    async fn put<T>(&self, kind: &'static str, slug: String, doc: T) -> Result<u32, RegistryError>
    where
        T: Serialize + DeserializeOwned + PartialEq + Send + Sync + 'static,
    {
        let pool = self.0.clone();
        whole(async move {
            let mut work = begin(&pool).await?;
            let (version, changed) = documents::put(&mut work.session(), kind, &slug, &doc).await?;
            end(work, changed).await?;
            Ok(version)
        })
        .await
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
