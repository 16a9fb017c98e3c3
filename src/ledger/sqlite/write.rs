//! One commit in SQLite: one statement for each table that has rows, each with all its rows as one JSON parameter. Every
//! statement is handed to a thread of sqlx, and that hand-over, not the row, is what costs.

use serde::Serialize;
use sqlx::SqliteConnection;

use crate::ledger::audit;
use crate::ledger::either::Session;
use crate::ledger::rows::{KEY_KEPT_MS, Rows, json};

/// Writes all rows. The caller holds the transaction.
pub async fn write(connection: &mut SqliteConnection, rows: &Rows) -> sqlx::Result<()> {
    each(connection, JOBS, &rows.jobs).await?;
    each(connection, BOOKINGS, &rows.bookings).await?;
    each(connection, RUNS, &rows.runs).await?;
    each(connection, OFFERS, &rows.offers).await?;
    each(connection, VISITS, &rows.visits).await?;
    each(connection, EVENTS, &rows.events).await?;
    each(connection, DECISIONS, &rows.decisions).await?;
    if let Some(newest) = rows.keys.iter().map(|line| line.at).max() {
        // A key may be used again when it is old; this is also all the sweeping they need.
        sqlx::query("delete from partner_keys where at <= ?")
            .bind(newest - KEY_KEPT_MS)
            .execute(&mut *connection)
            .await?;
        each(connection, KEYS, &rows.keys).await?;
    }
    each(connection, DUTIES, &rows.duties).await?;
    each(connection, WAITS, &rows.waits).await?;
    each(connection, QUESTIONS, &rows.questions).await?;
    each(connection, PROPOSALS, &rows.proposals).await?;
    each(connection, MESSAGES, &rows.messages).await?;
    each(connection, OUTBOX, &rows.outbox).await?;
    audit::put(&mut Session::Sqlite(connection), &rows.audits).await
}

async fn each<L: Serialize>(connection: &mut SqliteConnection, sql: &'static str, lines: &Vec<L>) -> sqlx::Result<()> {
    if !lines.is_empty() {
        sqlx::query(sql).bind(json(lines)).execute(connection).await?;
    }
    Ok(())
}

// `jsonb_each` (SQLite 3.51, which is bundled) gives each row in binary, where `json_each` would write it out as text for
// every `->>` to read again: that was a third of the cost of a commit.
// `where true` tells the parser that `on conflict` is not the condition of a join.

const JOBS: &str = "
insert into jobs (id, partner, partner_ref, community, community_version, package, package_version, commission_rule,
    commission_basis_points, state, attempt, revision, sequence, created_at, updated_at, expire_at, next_deadline,
    price, commission, currency, view, progress)
select value ->> 'id', value ->> 'partner', value ->> 'partner_ref', value ->> 'community',
    value ->> 'community_version', value ->> 'package', value ->> 'package_version', value ->> 'commission_rule',
    value ->> 'commission_basis_points', value ->> 'state', value ->> 'attempt', value ->> 'revision',
    value ->> 'sequence', value ->> 'created_at', value ->> 'updated_at', value ->> 'expire_at',
    value ->> 'next_deadline', value ->> 'price', value ->> 'commission', value ->> 'currency', value ->> 'view',
    value ->> 'progress'
from jsonb_each(?) where true
on conflict (id) do update set partner_ref = excluded.partner_ref, state = excluded.state, attempt = excluded.attempt,
    revision = excluded.revision, sequence = excluded.sequence, updated_at = excluded.updated_at,
    expire_at = excluded.expire_at, next_deadline = excluded.next_deadline, price = excluded.price,
    commission = excluded.commission, currency = excluded.currency, view = excluded.view,
    progress = excluded.progress";

const BOOKINGS: &str = "
insert into bookings (job, doc)
select value ->> 'job', value ->> 'doc' from jsonb_each(?) where true
on conflict (job) do update set doc = excluded.doc";

const RUNS: &str = "
insert into runs (job, attempt, started_at, waves, asked, ended_at, end_state)
select value ->> 'job', value ->> 'attempt', value ->> 'started_at', value ->> 'waves', value ->> 'asked',
    value ->> 'ended_at', value ->> 'end_state'
from jsonb_each(?) where true
on conflict (job, attempt) do update set started_at = excluded.started_at, waves = excluded.waves,
    asked = excluded.asked, ended_at = excluded.ended_at, end_state = excluded.end_state";

const OFFERS: &str = "
insert into offers (id, job, friend, attempt, wave, wave_seat, seat, revision, sent_at, expires_at, state, renewed,
    distance_m, gross, commission, net, currency, why, deficit_days, rank)
select value ->> 'id', value ->> 'job', value ->> 'friend', value ->> 'attempt', value ->> 'wave',
    value ->> 'wave_seat', value ->> 'seat', value ->> 'revision', value ->> 'sent_at', value ->> 'expires_at',
    value ->> 'state', value ->> 'renewed', value ->> 'distance_m', value ->> 'gross', value ->> 'commission',
    value ->> 'net', value ->> 'currency', value ->> 'why', value ->> 'deficit_days', value ->> 'rank'
from jsonb_each(?) where true order by key
on conflict (id) do update set wave = excluded.wave, wave_seat = excluded.wave_seat, seat = excluded.seat,
    revision = excluded.revision, sent_at = excluded.sent_at, expires_at = excluded.expires_at,
    state = excluded.state, renewed = excluded.renewed, distance_m = excluded.distance_m, gross = excluded.gross,
    commission = excluded.commission, net = excluded.net, currency = excluded.currency, why = excluded.why,
    deficit_days = excluded.deficit_days, rank = excluded.rank";

const VISITS: &str = "
insert into visits (job, attempt, friend, offer, place, gross, commission, net, currency, accept_key, assigned_at,
    contact_due, appointment_from, appointment_to, active, ended_at, outcome, cool_until)
select value ->> 'job', value ->> 'attempt', value ->> 'friend', value ->> 'offer', value ->> 'place',
    value ->> 'gross', value ->> 'commission', value ->> 'net', value ->> 'currency', value ->> 'accept_key',
    value ->> 'assigned_at', value ->> 'contact_due', value ->> 'appointment_from', value ->> 'appointment_to',
    value ->> 'active', value ->> 'ended_at',
    value ->> 'outcome', value ->> 'cool_until'
from jsonb_each(?) where true order by key
on conflict (job, attempt) do update set friend = excluded.friend, offer = excluded.offer, place = excluded.place,
    gross = excluded.gross, commission = excluded.commission, net = excluded.net, currency = excluded.currency,
    accept_key = excluded.accept_key, assigned_at = excluded.assigned_at, contact_due = excluded.contact_due,
    appointment_from = excluded.appointment_from, appointment_to = excluded.appointment_to,
    active = excluded.active, ended_at = excluded.ended_at, outcome = excluded.outcome,
    cool_until = excluded.cool_until";

const EVENTS: &str = "
insert into events (job, sequence, from_state, to_state, kind, actor, actor_id, reason, at, client_at)
select value ->> 'job', value ->> 'sequence', value ->> 'from_state', value ->> 'to_state', value ->> 'kind',
    value ->> 'actor', value ->> 'actor_id', value ->> 'reason', value ->> 'at', value ->> 'client_at'
from jsonb_each(?)";

const DECISIONS: &str = "
insert into decisions (job, attempt, wave, at, doc)
select value ->> 'job', value ->> 'attempt', value ->> 'wave', value ->> 'at', value ->> 'doc'
from jsonb_each(?) order by key";

const KEYS: &str = "
insert into partner_keys (partner, key, body, job, answer, at)
select value ->> 'partner', value ->> 'key', value ->> 'body', value ->> 'job', value ->> 'answer', value ->> 'at'
from jsonb_each(?)";

const DUTIES: &str = "
insert into duties (friend, on_duty, until, at, first_on_at)
select value ->> 'friend', value ->> 'on_duty', value ->> 'until', value ->> 'at', value ->> 'first_on_at'
from jsonb_each(?) where true
on conflict (friend) do update set on_duty = excluded.on_duty, until = excluded.until, at = excluded.at,
    first_on_at = excluded.first_on_at";

const WAITS: &str = "
insert into waitlist (community, cell, requests, first_at, last_at)
select value ->> 'community', value ->> 'cell', value ->> 'requests', value ->> 'first_at', value ->> 'last_at'
from jsonb_each(?) where true
on conflict (community, cell) do update set requests = waitlist.requests + excluded.requests,
    last_at = excluded.last_at";

const QUESTIONS: &str = "
insert into questions (job, number, friend, offer, nth, key, text, asked_at, reply, replied_at)
select value ->> 'job', value ->> 'number', value ->> 'friend', value ->> 'offer', value ->> 'nth', value ->> 'key',
    value ->> 'text', value ->> 'asked_at', value ->> 'reply', value ->> 'replied_at'
from jsonb_each(?) where true
on conflict (job, number) do update set reply = excluded.reply, replied_at = excluded.replied_at";

const PROPOSALS: &str = "
insert into proposals (offer, job, friend, revision, key, windows, proposed_at, until)
select value ->> 'offer', value ->> 'job', value ->> 'friend', value ->> 'revision', value ->> 'key',
    value ->> 'windows', value ->> 'proposed_at', value ->> 'until'
from jsonb_each(?) where true
on conflict (offer) do update set revision = excluded.revision, key = excluded.key, windows = excluded.windows,
    proposed_at = excluded.proposed_at, until = excluded.until";

const MESSAGES: &str = "
insert into messages (job, number, friend, voice, text, key, at)
select value ->> 'job', value ->> 'number', value ->> 'friend', value ->> 'voice', value ->> 'text', value ->> 'key',
    value ->> 'at'
from jsonb_each(?)";

// Who has no endpoint for it costs no row.
const OUTBOX: &str = "
insert into outbox (message, partner, endpoint, type, job, sequence, at, body)
select line.value ->> 'message', endpoints.partner, endpoints.id, line.value ->> 'type', line.value ->> 'job',
    line.value ->> 'sequence', line.value ->> 'at', line.value ->> 'body'
from jsonb_each(?) as line join endpoints on endpoints.partner = line.value ->> 'partner'
where endpoints.off is null
    and (endpoints.events = '[]'
         or exists (select 1 from json_each(endpoints.events) as wanted where wanted.value = line.value ->> 'type'))
order by line.key, endpoints.id";
