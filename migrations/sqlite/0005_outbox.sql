-- What is told to servers of others: where to, and a row for everything that is told. A row is written in the commit of
-- what it tells of, and is sent at least once.

-- Where a partner wants to hear of their jobs. One that was taken away stays as a name for what was sent there.
create table endpoints (
    id text primary key,
    partner text not null,
    url text not null check (length(url) between 1 and 2048),
    -- The types that are told there, a list; empty: all of them.
    events text not null check (json_valid(events)),
    -- What signs, the newest first: `whsec_…`, or sealed under a key that is not in the database.
    secrets text not null check (json_valid(secrets)),
    -- Why nothing is told there.
    off text check (off in ('gone', 'partner', 'removed')),
    created_at integer not null
) strict;
create index endpoints_of_partner on endpoints (partner);

-- One row for each endpoint that hears of something.
create table outbox (
    number integer primary key autoincrement,
    -- The header `webhook-id`: it stays the same however often the row is sent.
    message text not null,
    partner text not null,
    endpoint text not null,
    type text not null,
    job text not null,
    sequence integer not null check (sequence >= 1),
    -- When it happened, by the trade's clock. All other instants here are real time.
    at integer not null,
    -- What is sent, byte by byte: it is what is signed.
    body text not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    attempts integer not null default 0 check (attempts >= 0),
    -- Not sent before; 0 is at once.
    due_at integer not null default 0,
    tried_at integer,
    -- The answer's status, if there was one.
    status integer check (status between 100 and 999),
    outcome text,
    took_ms integer,
    ended_at integer,
    -- Nobody hears of one thing twice under two names.
    unique (message, endpoint),
    -- What is over is not sent; what is not over goes on.
    check ((state = 'waiting') = (ended_at is null))
) strict;
-- What is due, endpoint by endpoint: one that hangs does not stand before the others.
create index outbox_due on outbox (endpoint, due_at, number) where state = 'waiting';
-- A partner's list, newest first.
create index outbox_of_partner on outbox (partner, number);
-- What is over goes by age.
create index outbox_over on outbox (ended_at) where ended_at is not null;
