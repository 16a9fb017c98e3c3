//! A pool of either engine, and what is taken out of it: a lease for single statements, or work that is committed as one.

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{Postgres, Sqlite, Transaction};

use super::either::Session;

/// A pool.
#[derive(Clone, Debug)]
pub enum Pool {
    /// SQLite.
    Sqlite(SqlitePool),
    /// Postgres.
    Postgres(PgPool),
}

impl From<SqlitePool> for Pool {
    fn from(pool: SqlitePool) -> Pool {
        Pool::Sqlite(pool)
    }
}
impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Pool {
        Pool::Postgres(pool)
    }
}

impl Pool {
    /// A connection for single statements.
    pub async fn lease(&self) -> sqlx::Result<Lease> {
        Ok(match self {
            Pool::Sqlite(pool) => Lease::Sqlite(pool.acquire().await?),
            Pool::Postgres(pool) => Lease::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction. It must not be dropped half-way by a caller who goes away: run it in a task of its own.
    pub async fn begin(&self) -> sqlx::Result<Work> {
        Ok(match self {
            // At once, or two readers who both want to write would each wait for the other.
            Pool::Sqlite(pool) => Work::Sqlite(pool.begin_with("begin immediate").await?),
            Pool::Postgres(pool) => Work::Postgres(pool.begin().await?),
        })
    }
}

/// A connection out of a pool.
pub enum Lease {
    /// SQLite.
    Sqlite(PoolConnection<Sqlite>),
    /// Postgres.
    Postgres(PoolConnection<Postgres>),
}

impl Lease {
    /// To ask it.
    pub fn session(&mut self) -> Session<'_> {
        match self {
            Lease::Sqlite(connection) => Session::Sqlite(connection),
            Lease::Postgres(connection) => Session::Postgres(connection),
        }
    }
}

/// A transaction out of a pool.
pub enum Work {
    /// SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// Postgres.
    Postgres(Transaction<'static, Postgres>),
}

impl Work {
    /// To ask it.
    pub fn session(&mut self) -> Session<'_> {
        match self {
            Work::Sqlite(transaction) => Session::Sqlite(transaction),
            Work::Postgres(transaction) => Session::Postgres(transaction),
        }
    }

    /// Makes it true.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self {
            Work::Sqlite(transaction) => transaction.commit().await,
            Work::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// Leaves everything as it was.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Work::Sqlite(transaction) => transaction.rollback().await,
            Work::Postgres(transaction) => transaction.rollback().await,
        }
    }
}
