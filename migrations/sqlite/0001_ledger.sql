-- The ledger in SQLite. Instants are integer milliseconds, ids are UUIDs as text, money is integer minor units,
-- documents are JSON text. There are only check, unique and partial unique constraints, the same as in Postgres:
-- what one engine refuses, the other refuses too. Each says what would go wrong without it.

-- One row per job: columns for what constraints and queries need, the rest as documents.
create table jobs (
    id text primary key,
    partner text not null,
    partner_ref text,
    community text not null,
    community_version integer not null,
    package text not null,
    package_version integer not null,
    commission_rule text not null,
    -- More than the whole price cannot be kept of it.
    commission_basis_points integer not null check (commission_basis_points between 0 and 10000),
    -- A closed list: a word nobody knows could never be left again.
    state text not null check (state in ('needs_info', 'dispatching', 'paused', 'unfilled', 'assigned', 'contacted',
        'appointed', 'on_the_way', 'in_progress', 'done', 'unsuccessful', 'confirmed', 'disputed', 'refunded',
        'cancelled', 'expired', 'closed')),
    attempt integer not null check (attempt >= 0),
    revision integer not null check (revision >= 1),
    sequence integer not null check (sequence >= 1),
    created_at integer not null,
    updated_at integer not null,
    expire_at integer not null,
    -- Without a deadline nothing would ever wake the job again. Only a job whose work is over may rest.
    next_deadline integer check (next_deadline is not null or state in ('done', 'unsuccessful', 'confirmed',
        'refunded', 'cancelled', 'expired', 'closed')),
    price integer,
    commission integer,
    currency text check (currency in ('EUR', 'CHF', 'PLN')),
    -- The job as its partner sees it.
    view text not null check (json_valid(view)),
    -- What the dispatcher needs besides the columns to go on after a restart.
    progress text not null check (json_valid(progress)),
    -- An amount without its currency is not money.
    check ((price is null and commission is null) or currency is not null)
) strict;
-- What a restart loads.
create index jobs_open on jobs (next_deadline) where next_deadline is not null;
-- A partner's list, newest first: ids of version 7 sort by creation.
create index jobs_of_partner on jobs (partner, id);

-- What was booked: the only table with the customer's name, phone and street.
create table bookings (
    job text primary key,
    doc text not null check (json_valid(doc))
) strict;

-- One row per look for a friend.
create table runs (
    job text not null,
    attempt integer not null check (attempt >= 1),
    started_at integer not null,
    waves integer not null check (waves >= 0),
    asked integer not null check (asked >= 0),
    ended_at integer,
    end_state text,
    primary key (job, attempt),
    -- A run has ended in some state, or not at all.
    check ((ended_at is null) = (end_state is null))
) strict, without rowid;

-- One row per friend asked. Whether the app has acknowledged it is not recorded.
create table offers (
    id text primary key,
    job text not null,
    friend text not null,
    attempt integer not null check (attempt >= 1),
    wave integer not null check (wave >= 1),
    wave_seat integer not null check (wave_seat >= 0),
    seat integer not null check (seat >= 0),
    revision integer not null check (revision >= 1),
    sent_at integer not null,
    expires_at integer not null,
    state text not null check (state in ('live', 'taken', 'won', 'cancelled', 'expired', 'superseded', 'paused',
        'declined', 'handed_back', 'capacity')),
    renewed integer not null check (renewed in (0, 1)),
    distance_m integer not null check (distance_m >= 0),
    gross integer not null,
    commission integer not null,
    net integer not null,
    currency text not null check (currency in ('EUR', 'CHF', 'PLN')),
    why text not null check (why in ('nearest', 'fairness', 'assigned')),
    rank integer not null check (rank >= 1),
    -- The seat is the offer's name on the claim word: two offers with one name would both hear "won".
    unique (job, seat),
    -- A friend is asked once in a run. The job comes first: its rows then lie together.
    unique (job, friend, attempt),
    -- Money balances to the cent.
    check (commission + net = gross)
) strict;
-- One winner: the second accept of a run can not be written, whatever memory believes.
create unique index offers_one_winner on offers (job, attempt) where state = 'won';

-- What a winner owes. An active visit takes one of the friend's places.
create table visits (
    job text not null,
    attempt integer not null check (attempt >= 1),
    friend text not null,
    offer text not null,
    place integer not null check (place between 0 and 255),
    gross integer not null,
    commission integer not null,
    net integer not null,
    currency text not null check (currency in ('EUR', 'CHF', 'PLN')),
    accept_key text not null,
    assigned_at integer not null,
    contact_due integer not null,
    active integer not null check (active in (0, 1)),
    primary key (job, attempt),
    -- Money balances to the cent.
    check (commission + net = gross)
) strict, without rowid;
-- Two helpers never turn up for one job.
create unique index visits_one_per_job on visits (job) where active = 1;
-- A friend never holds more jobs than they have places.
create unique index visits_one_per_place on visits (friend, place) where active = 1;

-- What happened, in order; the events of a job replay to its state. Written once: a second event with a job's sequence
-- number means that two minds decide it.
create table events (
    job text not null,
    sequence integer not null check (sequence >= 1),
    from_state text,
    to_state text not null,
    kind text not null,
    actor text not null check (actor in ('system', 'partner', 'friend', 'customer', 'ops')),
    actor_id text,
    reason text,
    at integer not null,
    client_at integer,
    primary key (job, sequence),
    -- The system has no name, and a job has one customer; everybody else has one.
    check ((actor in ('system', 'customer')) = (actor_id is null))
) strict, without rowid;

-- Why these four: one row per choice.
create table decisions (
    id integer primary key,
    job text not null,
    attempt integer not null check (attempt >= 1),
    wave integer not null check (wave >= 0),
    at integer not null,
    doc text not null check (json_valid(doc))
) strict;
create index decisions_of_job on decisions (job, attempt, wave);

-- Idempotency keys of partners, with the answer to repeat. One key makes one job: a second row is refused.
create table partner_keys (
    partner text not null,
    key text not null,
    -- SHA-256 of the request's body, hexadecimal.
    body text not null check (length(body) = 64),
    job text not null,
    answer text not null check (json_valid(answer)),
    at integer not null,
    primary key (partner, key)
) strict, without rowid;
-- Old keys go by age.
create index partner_keys_by_age on partner_keys (at);

-- What friends intend; off is recorded too, so that nobody is put back on duty by an older row.
create table duties (
    friend text primary key,
    on_duty integer not null check (on_duty in (0, 1)),
    until integer,
    at integer not null
) strict, without rowid;

-- Communities, packages and partners: every version, because a job keeps the versions it was posted under.
create table documents (
    kind text not null check (kind in ('community', 'package', 'partner')),
    slug text not null,
    version integer not null check (version >= 1),
    doc text not null check (json_valid(doc)),
    created_at integer not null,
    primary key (kind, slug, version)
) strict;

-- Friends: the newest profile only; erasing a person removes this row.
create table friends (
    id text primary key,
    -- One account of the identity service is one friend.
    subject text unique,
    doc text not null check (json_valid(doc)),
    version integer not null check (version >= 1)
) strict;

-- Keys of the partner API. The secret itself is never stored.
create table partner_api_keys (
    id text primary key,
    partner text not null,
    -- SHA-256, hexadecimal.
    sha256 text not null check (length(sha256) = 64),
    created_at integer not null,
    revoked_at integer
) strict;

-- Who may write: one row, its epoch raised by whoever takes the ledger over. Every commit names its epoch and leaves
-- its batch here, so that the outcome of a commit whose reply was lost can be read back.
create table fence (
    only_row integer primary key check (only_row = 1),
    epoch integer not null,
    holder text not null,
    batch integer not null,
    seen_at integer not null
) strict;
insert into fence (only_row, epoch, holder, batch, seen_at) values (1, 0, '', 0, 0);

-- Single values.
create table meta (
    key text primary key,
    value text not null
) strict, without rowid;
insert into meta (key, value) values ('directory_version', '1');

-- What became of every run. `state` is the job's own for its newest run, and the run's end for those before.
-- `winner` has the pay that was locked; without one the price is what the job was posted for.
-- `time_to_assign_ms` is from the start of the run to the accept.
create view outcomes as
select
    runs.job,
    runs.attempt,
    case when runs.attempt = jobs.attempt then jobs.state else coalesce(runs.end_state, 'dispatching') end as state,
    visits.friend as winner,
    runs.waves,
    runs.asked,
    visits.assigned_at - runs.started_at as time_to_assign_ms,
    coalesce(visits.gross, jobs.price) as price,
    coalesce(visits.commission, jobs.commission) as commission,
    coalesce(visits.net, jobs.price - jobs.commission) as net,
    coalesce(visits.currency, jobs.currency) as currency
from runs
join jobs on jobs.id = runs.job
left join visits on visits.job = runs.job and visits.attempt = runs.attempt;
