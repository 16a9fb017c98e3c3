-- What is told to servers of others: where to, and a row for everything that is told. A row is written in the commit of
-- what it tells of, and is sent at least once.

-- Where a partner wants to hear of their jobs. One that was taken away stays as a name for what was sent there.
create table endpoints (
    id uuid primary key,
    partner text not null,
    url text not null check (length(url) between 1 and 2048),
    -- The types that are told there, a list; empty: all of them.
    events json not null,
    -- What signs, the newest first: `whsec_…`, or sealed under a key that is not in the database.
    secrets json not null,
    -- Why nothing is told there.
    off text check (off in ('gone', 'partner', 'removed')),
    created_at bigint not null
);
create index endpoints_of_partner on endpoints (partner);

-- One row for each endpoint that hears of something.
create table outbox (
    number bigint generated always as identity primary key,
    -- The header `webhook-id`: it stays the same however often the row is sent.
    message text not null,
    partner text not null,
    endpoint uuid not null,
    type text not null,
    job uuid not null,
    sequence bigint not null check (sequence >= 1),
    -- When it happened, by the trade's clock. All other instants here are real time.
    at bigint not null,
    -- What is sent, byte by byte: it is what is signed.
    body text not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    attempts bigint not null default 0 check (attempts >= 0),
    -- Not sent before; 0 is at once.
    due_at bigint not null default 0,
    tried_at bigint,
    -- The answer's status, if there was one.
    status bigint check (status between 100 and 999),
    outcome text,
    took_ms bigint,
    ended_at bigint,
    -- Nobody hears of one thing twice under two names.
    unique (message, endpoint),
    -- What is over is not sent; what is not over goes on.
    check ((state = 'waiting') = (ended_at is null))
);
-- What is due, endpoint by endpoint: one that hangs does not stand before the others.
create index outbox_due on outbox (endpoint, due_at, number) where state = 'waiting';
-- A partner's list, newest first.
create index outbox_of_partner on outbox (partner, number);
-- What is over goes by age.
create index outbox_over on outbox (ended_at) where ended_at is not null;
