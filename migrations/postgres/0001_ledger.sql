-- The ledger in Postgres. Instants are bigint milliseconds, money is bigint minor units, documents are json, kept as
-- they were written. There are only check, unique and partial unique constraints, the same as in SQLite: what one engine
-- refuses, the other refuses too. Each says what would go wrong without it. All integers are bigint, as in SQLite.

-- One row per job: columns for what constraints and queries need, the rest as documents.
create table jobs (
    id uuid primary key,
    partner text not null,
    partner_ref text,
    community text not null,
    community_version bigint not null,
    package text not null,
    package_version bigint not null,
    commission_rule text not null,
    -- More than the whole price cannot be kept of it.
    commission_basis_points bigint not null check (commission_basis_points between 0 and 10000),
    -- A closed list: a word nobody knows could never be left again.
    state text not null check (state in ('needs_info', 'dispatching', 'paused', 'unfilled', 'assigned', 'contacted',
        'appointed', 'on_the_way', 'in_progress', 'done', 'unsuccessful', 'confirmed', 'disputed', 'refunded',
        'cancelled', 'expired', 'closed')),
    attempt bigint not null check (attempt >= 0),
    revision bigint not null check (revision >= 1),
    sequence bigint not null check (sequence >= 1),
    created_at bigint not null,
    updated_at bigint not null,
    expire_at bigint not null,
    -- Without a deadline nothing would ever wake the job again. Only a job whose work is over may rest.
    next_deadline bigint check (next_deadline is not null or state in ('done', 'unsuccessful', 'confirmed',
        'refunded', 'cancelled', 'expired', 'closed')),
    price bigint,
    commission bigint,
    currency text check (currency in ('EUR', 'CHF', 'PLN')),
    -- The job as its partner sees it.
    view json not null,
    -- What the dispatcher needs besides the columns to go on after a restart.
    progress json not null,
    -- An amount without its currency is not money.
    check ((price is null and commission is null) or currency is not null)
);
-- What a restart loads.
create index jobs_open on jobs (next_deadline) where next_deadline is not null;
-- A partner's list, newest first: ids of version 7 sort by creation.
create index jobs_of_partner on jobs (partner, id);

-- What was booked: the only table with the customer's name, phone and street.
create table bookings (
    job uuid primary key,
    doc json not null
);

-- One row per look for a friend.
create table runs (
    job uuid not null,
    attempt bigint not null check (attempt >= 1),
    started_at bigint not null,
    waves bigint not null check (waves >= 0),
    asked bigint not null check (asked >= 0),
    ended_at bigint,
    end_state text,
    primary key (job, attempt),
    -- A run has ended in some state, or not at all.
    check ((ended_at is null) = (end_state is null))
);

-- One row per friend asked. Whether the app has acknowledged it is not recorded.
create table offers (
    id uuid primary key,
    job uuid not null,
    friend uuid not null,
    attempt bigint not null check (attempt >= 1),
    wave bigint not null check (wave >= 1),
    wave_seat bigint not null check (wave_seat >= 0),
    seat bigint not null check (seat >= 0),
    revision bigint not null check (revision >= 1),
    sent_at bigint not null,
    expires_at bigint not null,
    state text not null check (state in ('live', 'taken', 'won', 'cancelled', 'expired', 'superseded', 'paused',
        'declined', 'handed_back', 'capacity')),
    renewed boolean not null,
    distance_m bigint not null check (distance_m >= 0),
    gross bigint not null,
    commission bigint not null,
    net bigint not null,
    currency text not null check (currency in ('EUR', 'CHF', 'PLN')),
    why text not null check (why in ('nearest', 'fairness', 'assigned')),
    rank bigint not null check (rank >= 1),
    -- The seat is the offer's name on the claim word: two offers with one name would both hear "won".
    unique (job, seat),
    -- A friend is asked once in a run. The job comes first: its rows then lie together.
    unique (job, friend, attempt),
    -- Money balances to the cent.
    check (commission + net = gross)
);
-- One winner: the second accept of a run can not be written, whatever memory believes.
create unique index offers_one_winner on offers (job, attempt) where state = 'won';

-- What a winner owes. An active visit takes one of the friend's places.
create table visits (
    job uuid not null,
    attempt bigint not null check (attempt >= 1),
    friend uuid not null,
    offer uuid not null,
    place bigint not null check (place between 0 and 255),
    gross bigint not null,
    commission bigint not null,
    net bigint not null,
    currency text not null check (currency in ('EUR', 'CHF', 'PLN')),
    accept_key uuid not null,
    assigned_at bigint not null,
    contact_due bigint not null,
    active boolean not null,
    primary key (job, attempt),
    -- Money balances to the cent.
    check (commission + net = gross)
);
-- Two helpers never turn up for one job.
create unique index visits_one_per_job on visits (job) where active;
-- A friend never holds more jobs than they have places.
create unique index visits_one_per_place on visits (friend, place) where active;

-- What happened, in order; the events of a job replay to its state. Written once: a second event with a job's sequence
-- number means that two minds decide it.
create table events (
    job uuid not null,
    sequence bigint not null check (sequence >= 1),
    from_state text,
    to_state text not null,
    kind text not null,
    actor text not null check (actor in ('system', 'partner', 'friend', 'customer', 'ops')),
    actor_id text,
    reason text,
    at bigint not null,
    client_at bigint,
    primary key (job, sequence),
    -- The system has no name, and a job has one customer; everybody else has one.
    check ((actor in ('system', 'customer')) = (actor_id is null))
);

-- Why these four: one row per choice.
create table decisions (
    job uuid not null,
    attempt bigint not null check (attempt >= 1),
    wave bigint not null check (wave >= 0),
    at bigint not null,
    doc json not null
);
create index decisions_of_job on decisions (job, attempt, wave);

-- Idempotency keys of partners, with the answer to repeat. One key makes one job: a second row is refused.
create table partner_keys (
    partner text not null,
    key text not null,
    -- SHA-256 of the request's body, hexadecimal.
    body text not null check (length(body) = 64),
    job uuid not null,
    answer json not null,
    at bigint not null,
    primary key (partner, key)
);
-- Old keys go by age.
create index partner_keys_by_age on partner_keys (at);

-- What friends intend; off is recorded too, so that nobody is put back on duty by an older row.
create table duties (
    friend uuid primary key,
    on_duty boolean not null,
    until bigint,
    at bigint not null
);

-- Communities, packages and partners: every version, because a job keeps the versions it was posted under.
create table documents (
    kind text not null check (kind in ('community', 'package', 'partner')),
    slug text not null,
    version bigint not null check (version >= 1),
    doc json not null,
    created_at bigint not null,
    primary key (kind, slug, version)
);

-- Friends: the newest profile only; erasing a person removes this row.
create table friends (
    id uuid primary key,
    -- One account of the identity service is one friend.
    subject text unique,
    doc json not null,
    version bigint not null check (version >= 1)
);

-- Keys of the partner API. The secret itself is never stored.
create table partner_api_keys (
    id text primary key,
    partner text not null,
    -- SHA-256, hexadecimal.
    sha256 text not null check (length(sha256) = 64),
    created_at bigint not null,
    revoked_at bigint
);

-- Who may write: one row, its epoch raised by whoever takes the ledger over. Every commit names its epoch and leaves
-- its batch here, so that the outcome of a commit whose reply was lost can be read back.
create table fence (
    only_row bigint primary key check (only_row = 1),
    epoch bigint not null,
    holder text not null,
    batch bigint not null,
    seen_at bigint not null
);
insert into fence (only_row, epoch, holder, batch, seen_at) values (1, 0, '', 0, 0);

-- Single values.
create table meta (
    key text primary key,
    value text not null
);
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
