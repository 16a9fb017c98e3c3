//! Photos of friends: one each, written with its entry of the audit log, read one at a time. Which friends have one is part
//! of the directory; the pictures themselves stay in the database.

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::ids::FriendId;

use super::audit::{self, AuditLine};
use super::documents;
use super::either::{Arg, Row, Session};
use super::reader::{ReadError, Reader};
use super::registry::{Registry, RegistryError, begin, end, whole};
use crate::dispatch::effect::By;

impl Registry {
    /// Stores a friend's photo in place of the one before. `media` is one of `image/jpeg`, `image/png` and `image/webp`.
    ///
    /// # Errors
    /// [`RegistryError::UnknownFriend`]; [`RegistryError::Refused`] for another medium and more than 65,536 bytes.
    pub async fn put_photo(
        &self,
        friend: FriendId,
        media: &'static str,
        photo: Vec<u8>,
        by: &By,
    ) -> Result<(), RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            documents::friend_version(session, friend).await?.ok_or(RegistryError::UnknownFriend(friend))?;
            let (row, stored_at) = (Arg::Id(friend.0), Arg::Int(session.now().await?.0));
            session
                .run(
                    "insert into photos (friend, media, bytes, stored_at, directory_version) values ($1, $2, $3, $4,
                         (select cast(value as bigint) from meta where key = 'directory_version'))
                     on conflict (friend) do update set media = excluded.media, bytes = excluded.bytes,
                         stored_at = excluded.stored_at, directory_version = excluded.directory_version",
                    [row, Arg::Text(media), Arg::Bytes(photo), stored_at],
                )
                .await?;
            let stored = by.did("photo_stored", SubjectKind::Friend, friend);
            audit::put(session, &[AuditLine::of(&stored)]).await?;
            end(work, true).await?;
            Ok(())
        })
        .await
    }

    /// Erases a friend's photo; whether there was one.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn erase_photo(&self, friend: FriendId, by: &By) -> Result<bool, RegistryError> {
        let (pool, by) = (self.0.clone(), by.clone());
        whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let erased = session
                .run(
                    "update photos set media = null, bytes = null, directory_version =
                         (select cast(value as bigint) from meta where key = 'directory_version')
                     where friend = $1 and bytes is not null",
                    [Arg::Id(friend.0)],
                )
                .await?;
            if erased > 0 {
                let row = by.did("photo_erased", SubjectKind::Friend, friend);
                audit::put(session, &[AuditLine::of(&row)]).await?;
            }
            end(work, erased > 0).await?;
            Ok(erased > 0)
        })
        .await
    }
}

/// Whose photo is there by now or no longer, of those that came after a version of the directory.
pub(super) async fn changes(session: &mut Session<'_>, since: i64) -> sqlx::Result<Vec<(FriendId, bool)>> {
    let sql = "select friend, media from photos where directory_version > $1";
    let read = |row: &Row| Ok((FriendId(row.id("friend")?), row.maybe_text("media")?.is_some()));
    session.all(sql, [Arg::Int(since)]).await?.iter().map(read).collect()
}

impl Reader {
    /// A friend's photo and its medium, if they have one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn photo(&self, friend: FriendId) -> Result<Option<(String, Vec<u8>)>, ReadError> {
        let sql = "select media, bytes from photos where friend = $1 and bytes is not null";
        let row = self.row(sql, [Arg::Id(friend.0)]).await?;
        let read = |row: Row| Ok::<_, sqlx::Error>((row.text("media")?.to_owned(), row.bytes("bytes")?));
        Ok(row.map(read).transpose()?)
    }
}
