//! One commit in Postgres: one statement for each table that has rows, each column one array parameter, laid side by
//! side again by `unnest`. The columns are bound in the order in which the statement names them.

use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::Query;

use crate::ledger::audit;
use crate::ledger::either::Session;
use crate::ledger::lines::{
    BookingLine, DecisionLine, DutyLine, EventLine, JobLine, KeyLine, MessageLine, OfferLine, OutboxLine, ProposalLine,
    QuestionLine, RunLine, VisitLine, WaitLine,
};
use crate::ledger::rows::{KEY_KEPT_MS, Rows};

type Statement<'l> = Query<'l, Postgres, PgArguments>;

/// Writes all rows. The caller holds the transaction.
pub async fn write(connection: &mut PgConnection, rows: &Rows) -> sqlx::Result<()> {
    each(connection, &rows.jobs, jobs).await?;
    each(connection, &rows.bookings, bookings).await?;
    each(connection, &rows.runs, runs).await?;
    each(connection, &rows.offers, offers).await?;
    each(connection, &rows.visits, visits).await?;
    each(connection, &rows.events, events).await?;
    each(connection, &rows.decisions, decisions).await?;
    if let Some(newest) = rows.keys.iter().map(|line| line.at).max() {
        // A key may be used again when it is old; this is also all the sweeping they need.
        sqlx::query("delete from partner_keys where at <= $1")
            .bind(newest - KEY_KEPT_MS)
            .execute(&mut *connection)
            .await?;
        each(connection, &rows.keys, keys).await?;
    }
    each(connection, &rows.duties, duties).await?;
    each(connection, &rows.waits, waits).await?;
    each(connection, &rows.questions, questions).await?;
    each(connection, &rows.proposals, proposals).await?;
    each(connection, &rows.messages, messages).await?;
    each(connection, &rows.outbox, outbox).await?;
    audit::put(&mut Session::Postgres(connection), &rows.audits).await
}

async fn each<L>(
    connection: &mut PgConnection,
    lines: &[L],
    statement: impl FnOnce(&[L]) -> Statement<'_>,
) -> sqlx::Result<()> {
    if !lines.is_empty() {
        statement(lines).execute(connection).await?;
    }
    Ok(())
}

/// One column of all lines.
fn column<'l, L, C>(lines: &'l [L], read: impl Fn(&'l L) -> C) -> Vec<C> {
    lines.iter().map(read).collect()
}

fn jobs(lines: &[JobLine]) -> Statement<'_> {
    sqlx::query(JOBS)
        .bind(column(lines, |line| line.id))
        .bind(column(lines, |line| line.partner.as_str()))
        .bind(column(lines, |line| line.partner_ref.as_deref()))
        .bind(column(lines, |line| line.community.as_str()))
        .bind(column(lines, |line| line.community_version))
        .bind(column(lines, |line| line.package.as_str()))
        .bind(column(lines, |line| line.package_version))
        .bind(column(lines, |line| line.commission_rule.as_str()))
        .bind(column(lines, |line| line.commission_basis_points))
        .bind(column(lines, |line| line.state.as_str()))
        .bind(column(lines, |line| line.attempt))
        .bind(column(lines, |line| line.revision))
        .bind(column(lines, |line| line.sequence))
        .bind(column(lines, |line| line.created_at))
        .bind(column(lines, |line| line.updated_at))
        .bind(column(lines, |line| line.expire_at))
        .bind(column(lines, |line| line.next_deadline))
        .bind(column(lines, |line| line.price))
        .bind(column(lines, |line| line.commission))
        .bind(column(lines, |line| line.currency))
        .bind(column(lines, |line| line.view.as_str()))
        .bind(column(lines, |line| line.progress.as_str()))
}

const JOBS: &str = "
insert into jobs (id, partner, partner_ref, community, community_version, package, package_version, commission_rule,
    commission_basis_points, state, attempt, revision, sequence, created_at, updated_at, expire_at, next_deadline,
    price, commission, currency, view, progress)
select id, partner, partner_ref, community, community_version, package, package_version, commission_rule,
    commission_basis_points, state, attempt, revision, sequence, created_at, updated_at, expire_at, next_deadline,
    price, commission, currency, view::json, progress::json
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::text[],
    $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
    $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::text[], $22::text[])
    as lines (id, partner, partner_ref, community, community_version, package, package_version, commission_rule,
    commission_basis_points, state, attempt, revision, sequence, created_at, updated_at, expire_at, next_deadline,
    price, commission, currency, view, progress)
on conflict (id) do update set partner_ref = excluded.partner_ref, state = excluded.state, attempt = excluded.attempt,
    revision = excluded.revision, sequence = excluded.sequence, updated_at = excluded.updated_at,
    expire_at = excluded.expire_at, next_deadline = excluded.next_deadline, price = excluded.price,
    commission = excluded.commission, currency = excluded.currency, view = excluded.view,
    progress = excluded.progress";

fn bookings(lines: &[BookingLine]) -> Statement<'_> {
    sqlx::query(BOOKINGS).bind(column(lines, |line| line.job)).bind(column(lines, |line| line.doc.as_str()))
}

const BOOKINGS: &str = "
insert into bookings (job, doc)
select job, doc::json
from unnest($1::uuid[], $2::text[])
    as lines (job, doc)
on conflict (job) do update set doc = excluded.doc";

fn runs(lines: &[RunLine]) -> Statement<'_> {
    sqlx::query(RUNS)
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.attempt))
        .bind(column(lines, |line| line.started_at))
        .bind(column(lines, |line| line.waves))
        .bind(column(lines, |line| line.asked))
        .bind(column(lines, |line| line.ended_at))
        .bind(column(lines, |line| line.end_state.as_deref()))
}

const RUNS: &str = "
insert into runs (job, attempt, started_at, waves, asked, ended_at, end_state)
select *
from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
on conflict (job, attempt) do update set started_at = excluded.started_at, waves = excluded.waves,
    asked = excluded.asked, ended_at = excluded.ended_at, end_state = excluded.end_state";

fn offers(lines: &[OfferLine]) -> Statement<'_> {
    sqlx::query(OFFERS)
        .bind(column(lines, |line| line.id))
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.friend))
        .bind(column(lines, |line| line.attempt))
        .bind(column(lines, |line| line.wave))
        .bind(column(lines, |line| line.wave_seat))
        .bind(column(lines, |line| line.seat))
        .bind(column(lines, |line| line.revision))
        .bind(column(lines, |line| line.sent_at))
        .bind(column(lines, |line| line.expires_at))
        .bind(column(lines, |line| line.state))
        .bind(column(lines, |line| line.renewed))
        .bind(column(lines, |line| line.distance_m))
        .bind(column(lines, |line| line.gross))
        .bind(column(lines, |line| line.commission))
        .bind(column(lines, |line| line.net))
        .bind(column(lines, |line| line.currency))
        .bind(column(lines, |line| line.why))
        .bind(column(lines, |line| line.deficit_days))
        .bind(column(lines, |line| line.rank))
}

const OFFERS: &str = "
insert into offers (id, job, friend, attempt, wave, wave_seat, seat, revision, sent_at, expires_at, state, renewed,
    distance_m, gross, commission, net, currency, why, deficit_days, rank)
select id, job, friend, attempt, wave, wave_seat, seat, revision, sent_at, expires_at, state, renewed, distance_m,
    gross, commission, net, currency, why, deficit_days, rank
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::boolean[], $13::bigint[], $14::bigint[],
    $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::bigint[], $20::bigint[]) with ordinality
    as lines (id, job, friend, attempt, wave, wave_seat, seat, revision, sent_at, expires_at, state, renewed,
    distance_m, gross, commission, net, currency, why, deficit_days, rank, line)
order by line
on conflict (id) do update set wave = excluded.wave, wave_seat = excluded.wave_seat, seat = excluded.seat,
    revision = excluded.revision, sent_at = excluded.sent_at, expires_at = excluded.expires_at,
    state = excluded.state, renewed = excluded.renewed, distance_m = excluded.distance_m, gross = excluded.gross,
    commission = excluded.commission, net = excluded.net, currency = excluded.currency, why = excluded.why,
    deficit_days = excluded.deficit_days, rank = excluded.rank";

fn visits(lines: &[VisitLine]) -> Statement<'_> {
    sqlx::query(VISITS)
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.attempt))
        .bind(column(lines, |line| line.friend))
        .bind(column(lines, |line| line.offer))
        .bind(column(lines, |line| line.place))
        .bind(column(lines, |line| line.gross))
        .bind(column(lines, |line| line.commission))
        .bind(column(lines, |line| line.net))
        .bind(column(lines, |line| line.currency))
        .bind(column(lines, |line| line.accept_key))
        .bind(column(lines, |line| line.assigned_at))
        .bind(column(lines, |line| line.contact_due))
        .bind(column(lines, |line| line.appointment_from))
        .bind(column(lines, |line| line.appointment_to))
        .bind(column(lines, |line| line.active))
        .bind(column(lines, |line| line.ended_at))
        .bind(column(lines, |line| line.outcome))
        .bind(column(lines, |line| line.cool_until))
}

const VISITS: &str = "
insert into visits (job, attempt, friend, offer, place, gross, commission, net, currency, accept_key, assigned_at,
    contact_due, appointment_from, appointment_to, active, ended_at, outcome, cool_until)
select job, attempt, friend, offer, place, gross, commission, net, currency, accept_key, assigned_at, contact_due,
    appointment_from, appointment_to, active, ended_at, outcome, cool_until
from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::text[], $10::uuid[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
    $15::boolean[], $16::bigint[], $17::text[], $18::bigint[]) with ordinality
    as lines (job, attempt, friend, offer, place, gross, commission, net, currency, accept_key, assigned_at,
    contact_due, appointment_from, appointment_to, active, ended_at, outcome, cool_until, line)
order by line
on conflict (job, attempt) do update set friend = excluded.friend, offer = excluded.offer, place = excluded.place,
    gross = excluded.gross, commission = excluded.commission, net = excluded.net, currency = excluded.currency,
    accept_key = excluded.accept_key, assigned_at = excluded.assigned_at, contact_due = excluded.contact_due,
    appointment_from = excluded.appointment_from, appointment_to = excluded.appointment_to,
    active = excluded.active, ended_at = excluded.ended_at, outcome = excluded.outcome,
    cool_until = excluded.cool_until";

fn events(lines: &[EventLine]) -> Statement<'_> {
    sqlx::query(EVENTS)
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.sequence))
        .bind(column(lines, |line| line.from_state.as_deref()))
        .bind(column(lines, |line| line.to_state.as_str()))
        .bind(column(lines, |line| line.kind))
        .bind(column(lines, |line| line.actor))
        .bind(column(lines, |line| line.actor_id.as_deref()))
        .bind(column(lines, |line| line.reason.as_deref()))
        .bind(column(lines, |line| line.at))
        .bind(column(lines, |line| line.client_at))
}

const EVENTS: &str = "
insert into events (job, sequence, from_state, to_state, kind, actor, actor_id, reason, at, client_at)
select *
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::bigint[], $10::bigint[])";

fn decisions(lines: &[DecisionLine]) -> Statement<'_> {
    sqlx::query(DECISIONS)
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.attempt))
        .bind(column(lines, |line| line.wave))
        .bind(column(lines, |line| line.at))
        .bind(column(lines, |line| line.doc.as_str()))
}

const DECISIONS: &str = "
insert into decisions (job, attempt, wave, at, doc)
select job, attempt, wave, at, doc::json
from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
    as lines (job, attempt, wave, at, doc)";

fn keys(lines: &[KeyLine]) -> Statement<'_> {
    sqlx::query(KEYS)
        .bind(column(lines, |line| line.partner.as_str()))
        .bind(column(lines, |line| line.key.as_str()))
        .bind(column(lines, |line| line.body.as_str()))
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.answer.as_str()))
        .bind(column(lines, |line| line.at))
}

const KEYS: &str = "
insert into partner_keys (partner, key, body, job, answer, at)
select partner, key, body, job, answer::json, at
from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::bigint[])
    as lines (partner, key, body, job, answer, at)";

fn duties(lines: &[DutyLine]) -> Statement<'_> {
    sqlx::query(DUTIES)
        .bind(column(lines, |line| line.friend))
        .bind(column(lines, |line| line.on_duty))
        .bind(column(lines, |line| line.until))
        .bind(column(lines, |line| line.at))
        .bind(column(lines, |line| line.first_on_at))
}

const DUTIES: &str = "
insert into duties (friend, on_duty, until, at, first_on_at)
select *
from unnest($1::uuid[], $2::boolean[], $3::bigint[], $4::bigint[], $5::bigint[])
on conflict (friend) do update set on_duty = excluded.on_duty, until = excluded.until, at = excluded.at,
    first_on_at = excluded.first_on_at";

fn waits(lines: &[WaitLine]) -> Statement<'_> {
    sqlx::query(WAITS)
        .bind(column(lines, |line| line.community.as_str()))
        .bind(column(lines, |line| line.cell.as_str()))
        .bind(column(lines, |line| line.requests))
        .bind(column(lines, |line| line.first_at))
        .bind(column(lines, |line| line.last_at))
}

const WAITS: &str = "
insert into waitlist (community, cell, requests, first_at, last_at)
select *
from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
on conflict (community, cell) do update set requests = waitlist.requests + excluded.requests,
    last_at = excluded.last_at";

fn questions(lines: &[QuestionLine]) -> Statement<'_> {
    sqlx::query(QUESTIONS)
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.number))
        .bind(column(lines, |line| line.friend))
        .bind(column(lines, |line| line.offer))
        .bind(column(lines, |line| line.nth))
        .bind(column(lines, |line| line.key))
        .bind(column(lines, |line| line.text.as_str()))
        .bind(column(lines, |line| line.asked_at))
        .bind(column(lines, |line| line.reply.as_deref()))
        .bind(column(lines, |line| line.replied_at))
}

const QUESTIONS: &str = "
insert into questions (job, number, friend, offer, nth, key, text, asked_at, reply, replied_at)
select job, number, friend, offer, nth, key, text, asked_at, reply, replied_at
from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::bigint[], $9::text[], $10::bigint[])
    as lines (job, number, friend, offer, nth, key, text, asked_at, reply, replied_at)
on conflict (job, number) do update set reply = excluded.reply, replied_at = excluded.replied_at";

fn proposals(lines: &[ProposalLine]) -> Statement<'_> {
    sqlx::query(PROPOSALS)
        .bind(column(lines, |line| line.offer))
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.friend))
        .bind(column(lines, |line| line.revision))
        .bind(column(lines, |line| line.key))
        .bind(column(lines, |line| line.windows.as_str()))
        .bind(column(lines, |line| line.proposed_at))
        .bind(column(lines, |line| line.until))
}

const PROPOSALS: &str = "
insert into proposals (offer, job, friend, revision, key, windows, proposed_at, until)
select offer, job, friend, revision, key, windows::json, proposed_at, until
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[])
    as lines (offer, job, friend, revision, key, windows, proposed_at, until)
on conflict (offer) do update set revision = excluded.revision, key = excluded.key, windows = excluded.windows,
    proposed_at = excluded.proposed_at, until = excluded.until";

fn messages(lines: &[MessageLine]) -> Statement<'_> {
    sqlx::query(MESSAGES)
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.number))
        .bind(column(lines, |line| line.friend))
        .bind(column(lines, |line| line.voice))
        .bind(column(lines, |line| line.text.as_str()))
        .bind(column(lines, |line| line.key))
        .bind(column(lines, |line| line.at))
}

const MESSAGES: &str = "
insert into messages (job, number, friend, voice, text, key, at)
select job, number, friend, voice, text, key, at
from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::bigint[])
    as lines (job, number, friend, voice, text, key, at)";

fn outbox(lines: &[OutboxLine]) -> Statement<'_> {
    sqlx::query(OUTBOX)
        .bind(column(lines, |line| line.message.as_str()))
        .bind(column(lines, |line| line.partner.as_str()))
        .bind(column(lines, |line| line.kind))
        .bind(column(lines, |line| line.job))
        .bind(column(lines, |line| line.sequence))
        .bind(column(lines, |line| line.at))
        .bind(column(lines, |line| line.body.as_str()))
}

// Who has no endpoint for it costs no row.
const OUTBOX: &str = "
insert into outbox (message, partner, endpoint, type, job, sequence, at, body)
select lines.message, endpoints.partner, endpoints.id, lines.type, lines.job, lines.sequence, lines.at, lines.body
from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[])
    with ordinality as lines (message, partner, type, job, sequence, at, body, number)
join endpoints on endpoints.partner = lines.partner
where endpoints.off is null
    and (json_array_length(endpoints.events) = 0
         or exists (select 1 from json_array_elements_text(endpoints.events) as wanted (value)
                    where wanted.value = lines.type))
order by lines.number, endpoints.id";
