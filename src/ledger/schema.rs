//! The migrations, and whether a database is at the schema this binary was built for.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::OpenError;

/// Where a database stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is in it.
    Empty,
    /// It is what this binary wants.
    Current,
    /// It lacks migrations this binary has.
    Older,
}

/// SQLite's migrations, in order.
pub fn sqlite() -> Migrator {
    migrator(&[
        (1, "ledger", include_str!("../../migrations/sqlite/0001_ledger.sql")),
        (2, "who is suitable", include_str!("../../migrations/sqlite/0002_suitable.sql")),
        (3, "photos", include_str!("../../migrations/sqlite/0003_photos.sql")),
        (5, "outbox", include_str!("../../migrations/sqlite/0005_outbox.sql")),
        (6, "choices grow old", include_str!("../../migrations/sqlite/0006_choices.sql")),
    ])
}

/// Postgres' migrations, in order.
pub fn postgres() -> Migrator {
    migrator(&[
        (1, "ledger", include_str!("../../migrations/postgres/0001_ledger.sql")),
        (2, "who is suitable", include_str!("../../migrations/postgres/0002_suitable.sql")),
        (3, "photos", include_str!("../../migrations/postgres/0003_photos.sql")),
        (5, "outbox", include_str!("../../migrations/postgres/0005_outbox.sql")),
        (6, "choices grow old", include_str!("../../migrations/postgres/0006_choices.sql")),
    ])
}

fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(version, description, sql): &(i64, &'static str, &'static str)| {
        // The text is ours, from this repository.
        let sql = AssertSqlSafe(sql).into_sql_str();
        Migration::new(version, description.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

/// Compares a database with `migrator`. Makes the table of migrations if there is none.
///
/// # Errors
/// [`OpenError::Newer`] if the database knows a migration this binary does not, or another text of one it does;
/// [`OpenError::HalfMigrated`] if a migration broke off.
pub async fn standing<C: Migrate>(connection: &mut C, migrator: &Migrator) -> Result<Standing, OpenError> {
    connection.ensure_migrations_table(&migrator.table_name).await.map_err(migration)?;
    compare(connection, migrator).await
}

/// Compares a database that has the table of migrations with `migrator`, without writing anything.
///
/// # Errors
/// Those of [`standing`].
pub async fn compare<C: Migrate>(connection: &mut C, migrator: &Migrator) -> Result<Standing, OpenError> {
    if let Some(version) = connection.dirty_version(&migrator.table_name).await.map_err(migration)? {
        return Err(OpenError::HalfMigrated { version });
    }
    let applied = connection.list_applied_migrations(&migrator.table_name).await.map_err(migration)?;
    for done in &applied {
        let known = migrator.iter().find(|migration| migration.version == done.version);
        if known.is_none_or(|known| known.checksum != done.checksum) {
            return Err(OpenError::Newer { version: done.version });
        }
    }
    Ok(match applied.len() {
        0 => Standing::Empty,
        all if all == migrator.iter().count() => Standing::Current,
        _ => Standing::Older,
    })
}

/// Brings a database up to `migrator`.
///
/// # Errors
/// Those of [`standing`], and what the database says.
pub async fn migrate<C: Migrate>(connection: &mut C, migrator: &Migrator) -> Result<(), OpenError> {
    match standing(connection, migrator).await? {
        Standing::Current => Ok(()),
        Standing::Empty | Standing::Older => migrator.run_direct(None, connection, false).await.map_err(migration),
    }
}

fn migration(error: MigrateError) -> OpenError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => OpenError::database(error),
        other => OpenError::Unfit { why: other.to_string() },
    }
}
