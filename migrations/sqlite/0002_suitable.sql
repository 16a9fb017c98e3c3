-- Who is suitable: a visit knows how it ended, so that what friends have done is counted from it; how long each has
-- waited for an offer; and a place outside of every service area is noted.

-- How a visit ended, and when; visits from before this are over without it.
alter table visits add column ended_at integer;
-- A closed list. A visit that still takes a place has not ended.
alter table visits add column outcome text
    check (outcome is null
           or outcome in ('done', 'handed_back', 'no_contact', 'cancelled') and active = 0 and ended_at is not null);
-- Who let the contact clock run out is asked for nothing until then: nobody else has such an instant.
alter table visits add column cool_until integer check (cool_until is null or outcome = 'no_contact');
-- What a restart counts: the visits of the last year.
create index visits_by_age on visits (assigned_at);

-- Since when each friend waits for an offer, and how many they had of late: a restart asks for both.
alter table duties add column first_on_at integer;
create index offers_of_friend on offers (friend, sent_at);

-- Why me: how much longer than those around them the friend in the fairness seat had waited.
alter table offers add column deficit_days integer check (deficit_days is null or why = 'fairness');

-- Ops look for jobs by where they stand, whose they are and where they are; friends for those of their communities.
create index jobs_by_state on jobs (state, id);
create index jobs_of_community on jobs (community, id);
create index jobs_by_reference on jobs (partner_ref) where partner_ref is not null;
create index bookings_by_postcode on bookings ((doc -> 'address' ->> 'postcode'), job);

-- Jobs wanted where their community does not serve: how often, by community and cell of about five square kilometres.
-- Nobody's name, street or number is here.
create table waitlist (
    community text not null,
    -- An H3 index of resolution 7, hexadecimal.
    cell text not null check (length(cell) = 15),
    requests integer not null check (requests >= 1),
    first_at integer not null,
    last_at integer not null,
    primary key (community, cell)
) strict, without rowid;

-- When the friend comes, agreed with the customer: both ends or neither.
alter table visits add column appointment_from integer;
alter table visits add column appointment_to integer
    check ((appointment_from is null) = (appointment_to is null)
           and (appointment_to is null or appointment_to > appointment_from));

-- What friends ask about a job before they say yes, and what the customer replied; contact data is taken out before it
-- comes here. Without a friend the server asks.
create table questions (
    job text not null,
    number integer not null check (number >= 1),
    friend text,
    offer text,
    -- Which of the friend's questions about the job: more than a handful is no question.
    nth integer check (nth between 1 and 8),
    key text,
    text text not null check (length(text) between 1 and 2000),
    asked_at integer not null,
    reply text check (length(reply) between 1 and 2000),
    replied_at integer,
    primary key (job, number),
    unique (job, friend, nth),
    -- A friend asks as the holder of an offer, or nobody does.
    check ((friend is null) = (offer is null) and (friend is null) = (nth is null)),
    -- A reply has its instant.
    check ((reply is null) = (replied_at is null))
) strict, without rowid;

-- When a friend would come: one proposal an offer. Whether it stands follows from the offer and from the instant.
create table proposals (
    offer text primary key,
    job text not null,
    friend text not null,
    revision integer not null check (revision >= 1),
    key text not null,
    windows text not null,
    proposed_at integer not null,
    -- Without an end the customer could hold a friend for ever.
    until integer not null check (until > proposed_at)
) strict, without rowid;
create index proposals_of_job on proposals (job);

-- What the customer and a friend write to each other about a job. Written once.
create table messages (
    job text not null,
    number integer not null check (number >= 1),
    friend text not null,
    voice text not null check (voice in ('customer', 'friend')),
    text text not null check (length(text) between 1 and 4000),
    key text,
    at integer not null,
    primary key (job, number),
    -- The same key is the same message.
    unique (job, voice, key)
) strict, without rowid;
-- Who did what to whom, when and why. Only added to: who could change an entry could deny what was done.
create table audit (
    id integer primary key autoincrement,
    at integer not null,
    actor text not null check (length(actor) between 1 and 200),
    role text not null check (role in ('viewer', 'dispatcher', 'admin', 'friend', 'partner', 'customer', 'system',
        'operator')),
    action text not null,
    subject_kind text not null check (subject_kind in ('job', 'friend', 'community', 'package', 'partner', 'directory',
        'search')),
    subject text not null,
    reason text,
    -- Words and numbers; never a name, number or address of a person.
    details text not null check (json_valid(details))
) strict;
create index audit_of_subject on audit (subject_kind, subject, id);
create trigger audit_is_not_changed before update on audit
begin
    select raise(abort, 'the audit log is only added to');
end;
create trigger audit_is_not_shortened before delete on audit
begin
    select raise(abort, 'the audit log is only added to');
end;
