//! What friends ask of the past: which jobs near by went to others, and what the choices of a job have on record. Bounded in
//! days, in jobs looked at and in jobs told.

use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, PackageSlug};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use uuid::Uuid;

use super::either::{Arg, Row, broken};
use super::reader::{ReadError, Reader};
use crate::dispatch::decision::Decision;

/// A box on the earth, degrees.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// The least latitude.
    pub south: f64,
    /// The greatest.
    pub north: f64,
    /// The least longitude.
    pub west: f64,
    /// The greatest.
    pub east: f64,
}

/// A job whose friends were chosen, and a certain friend was not among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// Which.
    pub id: JobId,
    /// When it was posted.
    pub at: Time,
    /// Whose.
    pub community: CommunitySlug,
    /// What was to be done.
    pub package: PackageSlug,
    /// Where.
    pub place: Point,
    /// Whether a choice has seen the friend.
    pub seen: bool,
}

impl Reader {
    /// Jobs of a community since then for which friends were chosen and `friend` never was: those whose choice saw them, and
    /// those within a box; the newest `limit` of the newest thousand.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn passed_over(
        &self,
        friend: FriendId,
        community: &CommunitySlug,
        since: Time,
        around: Option<Around>,
        limit: usize,
    ) -> Result<Vec<Passed>, ReadError> {
        // Nowhere is a box that holds nothing.
        let Around { south, north, west, east } =
            around.unwrap_or(Around { south: 1.0, north: 0.0, west: 1.0, east: 0.0 });
        let micro = |degrees: f64| Arg::Int((degrees * 1e6).round() as i64);
        let names = format!("%{friend}%");
        // Ids begin with the instant at which they were made; some may be decided a little after they were taken.
        let first = Uuid::from_u128(u128::from((since.0 - 60_000).max(0).unsigned_abs()) << 80);
        let rows = self
            .rows(
                "select id, at, community, package, lat, lng, seen from (
                     select jobs.id as id, jobs.created_at as at, jobs.community as community, jobs.package as package,
                         cast(cast(doc -> 'place' ->> 'lat' as double precision) * 1000000 as bigint) as lat,
                         cast(cast(doc -> 'place' ->> 'lng' as double precision) * 1000000 as bigint) as lng,
                         cast(case when exists (select 1 from decisions where decisions.job = jobs.id
                             and cast(decisions.doc as text) like $4) then 1 else 0 end as bigint) as seen
                     from (select * from jobs where community = $1 and id > $2 order by id desc limit 1000) as jobs
                     join bookings on bookings.job = jobs.id
                     where jobs.created_at >= $3
                         and exists (select 1 from decisions where decisions.job = jobs.id)
                         and not exists (select 1 from offers where offers.job = jobs.id and offers.friend = $5)
                 ) as passed
                 where seen = 1 or lat between $6 and $7 and lng between $8 and $9
                 order by id desc limit $10",
                [
                    Arg::Text(community.as_str()),
                    Arg::Id(first),
                    Arg::Int(since.0),
                    Arg::Text(&names),
                    Arg::Id(friend.0),
                    micro(south),
                    micro(north),
                    micro(west),
                    micro(east),
                    Arg::Int(i64::try_from(limit).unwrap_or(i64::MAX)),
                ],
            )
            .await?;
        Ok(rows.iter().map(passed).collect::<sqlx::Result<_>>()?)
    }

    /// The choices of a job, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn decisions(&self, job: JobId) -> Result<Vec<Decision>, ReadError> {
        let rows = self
            .rows("select doc from decisions where job = $1 order by attempt, wave, at limit 200", [Arg::Id(job.0)])
            .await?;
        Ok(rows.iter().map(|row| row.doc("doc")).collect::<sqlx::Result<_>>()?)
    }
}

fn passed(row: &Row) -> sqlx::Result<Passed> {
    let degrees = |column| Ok::<_, sqlx::Error>(row.int::<i64>(column)? as f64 / 1e6);
    let place = Point::new(degrees("lat")?, degrees("lng")?).map_err(|why| broken("place", why))?;
    Ok(Passed {
        id: JobId(row.id("id")?),
        at: row.time("at")?,
        community: row.word("community")?,
        package: row.word("package")?,
        place,
        seen: row.int::<i64>("seen")? == 1,
    })
}
