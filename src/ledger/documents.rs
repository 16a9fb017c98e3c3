//! How documents are stored: communities, packages and partners in versions, friends in their newest form.

use std::collections::{BTreeMap, HashMap};

use kiez_protocol::directory::Friend;
use kiez_protocol::ids::FriendId;
use kiez_protocol::profile::Account;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::either::{Arg, Row, Session, broken};
use super::rows::json;

/// The version under which `doc` is stored, and whether it is new.
pub async fn put<T: Serialize + DeserializeOwned + PartialEq>(
    session: &mut Session<'_>,
    kind: &str,
    slug: &str,
    doc: &T,
) -> sqlx::Result<(u32, bool)> {
    let newest = session
        .first(
            "select version, doc from documents where kind = $1 and slug = $2 order by version desc limit 1",
            [Arg::Text(kind), Arg::Text(slug)],
        )
        .await?;
    let newest: Option<(u32, Row)> = newest.map(|row| Ok::<_, sqlx::Error>((row.int("version")?, row))).transpose()?;
    if let Some((version, row)) = &newest {
        // One that an older kiez stored and this one cannot read is not equal.
        if row.doc::<T>("doc").is_ok_and(|stored| stored == *doc) {
            return Ok((*version, false));
        }
    }
    let version = newest.map_or(1, |(version, _)| version + 1);
    let now = session.now().await?;
    session
        .run(
            "insert into documents (kind, slug, version, doc, created_at, directory_version) select $1, $2, $3, $4, $5,
                 (select cast(value as bigint) from meta where key = 'directory_version')",
            [Arg::Text(kind), Arg::Text(slug), Arg::Int(version.into()), Arg::Doc(json(doc)), Arg::Int(now.0)],
        )
        .await?;
    Ok((version, true))
}

/// The newest version of one document.
pub async fn newest_of<T: DeserializeOwned>(
    session: &mut Session<'_>,
    kind: &str,
    slug: &str,
) -> sqlx::Result<Option<(T, u32)>> {
    let row = session
        .first(
            "select version, doc from documents where kind = $1 and slug = $2 order by version desc limit 1",
            [Arg::Text(kind), Arg::Text(slug)],
        )
        .await?;
    row.map(|row| Ok((row.doc("doc")?, row.int("version")?))).transpose()
}

/// Whether the newest version of a community has its brake on, whatever else is in it.
pub async fn is_braked(session: &mut Session<'_>, slug: &str) -> sqlx::Result<bool> {
    let stored = newest_of::<serde_json::Value>(session, "community", slug).await?;
    Ok(stored.and_then(|(doc, _)| doc.get("brake")?.as_bool()).unwrap_or(false))
}

/// The number of the newest version of one document, 0 where there is none.
pub async fn version(session: &mut Session<'_>, kind: &str, slug: &str) -> sqlx::Result<u32> {
    let row = session
        .first(
            "select coalesce(max(version), 0) as version from documents where kind = $1 and slug = $2",
            [Arg::Text(kind), Arg::Text(slug)],
        )
        .await?;
    row.ok_or(sqlx::Error::RowNotFound)?.int("version")
}

/// Stores friends in one statement, so that a large import does not keep the dispatcher's commits waiting. Returns
/// whether anything has changed.
pub async fn put_friends(session: &mut Session<'_>, friends: &[Friend]) -> sqlx::Result<bool> {
    #[derive(Serialize)]
    struct Line<'f> {
        id: Uuid,
        subject: Option<&'f str>,
        account: &'f str,
        doc: String,
    }
    // A statement may touch a row only once: the later document of a friend stands.
    let last: BTreeMap<_, _> = friends.iter().map(|friend| (friend.id, friend)).collect();
    let lines: Vec<_> = last
        .values()
        .map(|friend| Line {
            id: friend.id.0,
            subject: friend.subject.as_deref(),
            account: friend.account.as_str(),
            doc: json(friend),
        })
        .collect();
    let sql = match session {
        Session::Sqlite(_) => {
            "insert into friends (id, subject, doc, version, account, directory_version)
             select each.value ->> 'id', each.value ->> 'subject', each.value ->> 'doc', 1, each.value ->> 'account',
                 cast(meta.value as bigint)
             from json_each($1) as each join meta on meta.key = 'directory_version' where true
             on conflict (id) do update set subject = excluded.subject, doc = excluded.doc,
                 version = friends.version + 1, account = excluded.account,
                 directory_version = excluded.directory_version
             where friends.doc <> excluded.doc"
        }
        Session::Postgres(_) => {
            "insert into friends (id, subject, doc, version, account, directory_version)
             select (each.value ->> 'id')::uuid, each.value ->> 'subject', (each.value ->> 'doc')::json, 1,
                 each.value ->> 'account', cast(meta.value as bigint)
             from json_array_elements($1) as each (value) join meta on meta.key = 'directory_version'
             on conflict (id) do update set subject = excluded.subject, doc = excluded.doc,
                 version = friends.version + 1, account = excluded.account,
                 directory_version = excluded.directory_version
             where friends.doc::text <> excluded.doc::text"
        }
    };
    Ok(session.run(sql, [Arg::Doc(json(&lines))]).await? > 0)
}

/// The accounts of those of these friends who are stored.
pub async fn accounts(session: &mut Session<'_>, friends: &[Friend]) -> sqlx::Result<HashMap<FriendId, Account>> {
    let ids: Vec<Uuid> = friends.iter().map(|friend| friend.id.0).collect();
    let sql = match session {
        Session::Sqlite(_) => {
            "select id, doc ->> 'account' as account from friends where id in (select value from json_each($1))"
        }
        Session::Postgres(_) => {
            "select id, doc ->> 'account' as account from friends
             where id in (select value::uuid from json_array_elements_text($1) as each (value))"
        }
    };
    let rows = session.all(sql, [Arg::Doc(json(&ids))]).await?;
    let read = |row: &Row| {
        let account = row.maybe_text("account")?.map_or(Ok(Account::default()), serde_json::from_str);
        Ok((FriendId(row.id("id")?), account.map_err(|why| broken("account", why))?))
    };
    rows.iter().map(read).collect()
}

/// The version of a friend's profile, if they are stored.
pub async fn friend_version(session: &mut Session<'_>, friend: FriendId) -> sqlx::Result<Option<u32>> {
    let row = session.first("select version from friends where id = $1", [Arg::Id(friend.0)]).await?;
    row.map(|row| row.int("version")).transpose()
}

/// The version of the directory: grows with every change.
pub async fn directory_version(session: &mut Session<'_>) -> sqlx::Result<u64> {
    session
        .first("select cast(value as bigint) as version from meta where key = 'directory_version'", [])
        .await?
        .ok_or(sqlx::Error::RowNotFound)?
        .int("version")
}

/// A friend's profile and its version.
pub async fn friend(session: &mut Session<'_>, friend: FriendId) -> sqlx::Result<Option<(Friend, u32)>> {
    let row = session.first("select doc, version from friends where id = $1", [Arg::Id(friend.0)]).await?;
    row.map(|row| Ok((row.doc("doc")?, row.int("version")?))).transpose()
}

/// Every version of every document of a kind that came after a version of the directory.
pub async fn all<T: DeserializeOwned>(
    session: &mut Session<'_>,
    kind: &str,
    since: i64,
) -> sqlx::Result<Vec<(T, u32)>> {
    let sql = "select version, doc from documents where kind = $1 and directory_version > $2 order by slug, version";
    versions(&session.all(sql, [Arg::Text(kind), Arg::Int(since)]).await?)
}

/// The newest version of every document of a kind, of those that came after a version of the directory.
pub async fn newest<T: DeserializeOwned>(
    session: &mut Session<'_>,
    kind: &str,
    since: i64,
) -> sqlx::Result<Vec<(T, u32)>> {
    let rows = session
        .all(
            "select version, doc from documents where kind = $1 and directory_version > $2 and version =
                 (select max(version) from documents as others
                  where others.kind = documents.kind and others.slug = documents.slug)
             order by slug",
            [Arg::Text(kind), Arg::Int(since)],
        )
        .await?;
    versions(&rows)
}

fn versions<T: DeserializeOwned>(rows: &[Row]) -> sqlx::Result<Vec<(T, u32)>> {
    rows.iter().map(|row| Ok((row.doc("doc")?, row.int("version")?))).collect()
}
