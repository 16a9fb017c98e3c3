//! Why a ledger could not be opened, in words for the operator; and which of the reasons pass by themselves.

use super::Trouble;

/// Why a ledger could not be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no known kind.
    #[error("database.url must be sqlite:PATH or postgres://…: {why}")]
    Url {
        /// What is wrong with it, without the URL itself: it may hold a password.
        why: String,
    },
    /// Another process has the lock.
    #[error(
        "{what} is held by another kiez: stop that one first, or give this one a database of its own; `serve --standby` \
         waits for it (Postgres), `serve --take-over` takes its place"
    )]
    Held {
        /// Which database.
        what: String,
    },
    /// There is nothing to stand by for.
    #[error(
        "SQLite has no standby: one file, one process. To take the place of a process that hangs, start with --take-over"
    )]
    NoStandby,
    /// The schema is older than the binary.
    #[error("the database has an older schema than this kiez: stop every kiez on it, back it up, run `kiez migrate`")]
    Older,
    /// The schema is newer than the binary.
    #[error(
        "the database has migration {version} in a form this kiez does not know: it was migrated by a newer kiez; \
         install that one (its `kiez migrate` brings every database up to date)"
    )]
    Newer {
        /// The migration.
        version: i64,
    },
    /// A migration broke off.
    #[error("migration {version} broke off half-way: restore the backup, then run `kiez migrate`")]
    HalfMigrated {
        /// The migration.
        version: i64,
    },
    /// Commits would not survive a crash.
    #[error(
        "Postgres runs with {setting} = off, and a crash would lose what was told: set it to on, or serve with --dev"
    )]
    NotDurable {
        /// Which setting.
        setting: String,
    },
    /// The database only follows another.
    #[error("the database is a replica: give database.url the primary")]
    Replica,
    /// It does not answer; it may later.
    #[error("the database cannot be reached: {why}")]
    Unreachable {
        /// What the driver says.
        why: String,
    },
    /// It answers, and says no.
    #[error("the database cannot be used: {why}")]
    Unfit {
        /// What it says.
        why: String,
    },
}

impl OpenError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, OpenError::Unreachable { .. })
    }

    pub(super) fn database(error: sqlx::Error) -> OpenError {
        let why = match &error {
            // SQLSTATE invalid_catalog_name.
            sqlx::Error::Database(database) if database.code().is_some_and(|code| code == "3D000") => {
                format!("{}; `createdb` makes one, `kiez migrate` prepares it", database.message())
            }
            sqlx::Error::Database(database) => database.message().to_owned(),
            _ => error.to_string(),
        };
        if passes(&error) { OpenError::Unreachable { why } } else { OpenError::Unfit { why } }
    }
}

/// Whether an error of opening is one that passes by itself: nobody there, starting up, shutting down, busy, full. A wrong
/// name, key or schema is not.
pub(super) fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(database) => {
            database.code().is_some_and(|code| match (code.len(), code.parse::<i32>()) {
                // SQLite's result codes: busy, locked, full.
                (..5, Ok(code)) => matches!(code & 0xff, 5 | 6 | 13),
                // SQLSTATE: insufficient resources (too many connections, disk full), operator intervention (starting up,
                // shutting down, the session ended).
                (_, _) => code.starts_with("53") || code.starts_with("57"),
            })
        }
        _ => false,
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> OpenError {
        match trouble {
            Trouble::Fenced => OpenError::Held { what: "the database".to_owned() },
            Trouble::Refused(why) => OpenError::Unfit { why },
            Trouble::Unreachable(why) => OpenError::Unreachable { why },
        }
    }
}
