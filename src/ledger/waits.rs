//! How long friends wait for an offer, and how many seats there were for the longest wait: read once a day for the alarm.
//! Page by page, so that no look takes long however many friends there are.

use kiez_protocol::ids::{CommunitySlug, FriendId};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use uuid::Uuid;

use super::either::{Arg, Row, broken};
use super::load::JOB_LASTS_MS;
use super::reader::{ReadError, Reader};
use crate::dispatch::effect::WaitingRow;
use crate::dispatch::overdue::SeatsAt;
use crate::dispatch::rank::FAIRNESS_SEAT;

/// Places with seats that are read, at most: squares of about a kilometre in which one community had jobs in a week.
const PLACES_MAX: i64 = 10_000;

impl Reader {
    /// Friends who are on duty, or went off after `off_after`, by id, at most `limit`, those behind `after`. Their offers by
    /// day are left out.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn waits(
        &self,
        off_after: Time,
        after: Option<FriendId>,
        limit: u32,
    ) -> Result<Vec<WaitingRow>, ReadError> {
        let rows = self
            .rows(
                "select friend, first_on_at, on_duty, at,
                     (select max(offers.sent_at) from offers
                      where offers.friend = duties.friend and offers.why <> 'assigned') as last_offer_at
                 from duties
                 where (on_duty or at > $1) and ($2 is null or friend > $2)
                 order by friend limit $3",
                [Arg::Int(off_after.0), Arg::MaybeId(after.map(|after| after.0)), Arg::Int(limit.into())],
            )
            .await?;
        Ok(rows.iter().map(waiting).collect::<sqlx::Result<_>>()?)
    }

    /// The seats kept for the longest wait that were given since then in jobs of a community, by squares of a hundredth of
    /// a degree. What ops or a customer gave by name was no such seat.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn kept_seats(&self, community: &CommunitySlug, since: Time) -> Result<Vec<SeatsAt>, ReadError> {
        // Ids begin with the instant at which they were made: the jobs that may have been open since then lie together.
        let first = Uuid::from_u128(u128::from((since.0 - JOB_LASTS_MS).max(0).unsigned_abs()) << 80);
        let rows = self
            .rows(
                "select lat, lng, count(*) as seats from (
                     select cast(round(cast(doc -> 'place' ->> 'lat' as double precision) * 100) as bigint) as lat,
                         cast(round(cast(doc -> 'place' ->> 'lng' as double precision) * 100) as bigint) as lng
                     from jobs
                     join offers on offers.job = jobs.id
                     join bookings on bookings.job = jobs.id
                     where jobs.community = $1 and jobs.id > $2 and offers.sent_at > $3 and offers.wave_seat = $4
                         and offers.why in ('nearest', 'fairness')
                 ) as kept
                 group by lat, lng order by lat, lng limit $5",
                [
                    Arg::Text(community.as_str()),
                    Arg::Id(first),
                    Arg::Int(since.0),
                    Arg::Int(FAIRNESS_SEAT.into()),
                    Arg::Int(PLACES_MAX),
                ],
            )
            .await?;
        Ok(rows.iter().map(kept).collect::<sqlx::Result<_>>()?)
    }
}

fn waiting(row: &Row) -> sqlx::Result<WaitingRow> {
    let on = row.flag("on_duty")?;
    Ok(WaitingRow {
        first_duty: row.maybe_time("first_on_at")?,
        off_since: (!on).then_some(row.time("at")?),
        last_offer: row.maybe_time("last_offer_at")?,
        ..WaitingRow::of(FriendId(row.id("friend")?))
    })
}

fn kept(row: &Row) -> sqlx::Result<SeatsAt> {
    let degrees = |column| Ok::<_, sqlx::Error>(row.int::<i64>(column)? as f64 / 100.0);
    let place = Point::new(degrees("lat")?, degrees("lng")?).map_err(|why| broken("place", why))?;
    Ok(SeatsAt { place, seats: row.int("seats")? })
}
