-- Who is suitable: a visit knows how it ended, so that what friends have done is counted from it; how long each has
-- waited for an offer; and a place outside of every service area is noted.

-- How a visit ended, and when; visits from before this are over without it.
alter table visits add column ended_at bigint;
-- A closed list. A visit that still takes a place has not ended.
alter table visits add column outcome text
    check (outcome is null
           or outcome in ('done', 'handed_back', 'no_contact', 'cancelled') and not active and ended_at is not null);
-- Who let the contact clock run out is asked for nothing until then: nobody else has such an instant.
alter table visits add column cool_until bigint check (cool_until is null or outcome = 'no_contact');
-- What a restart counts: the visits of the last year.
create index visits_by_age on visits (assigned_at);

-- Since when each friend waits for an offer, and how many they had of late: a restart asks for both.
alter table duties add column first_on_at bigint;
create index offers_of_friend on offers (friend, sent_at);

-- Jobs wanted where their community does not serve: how often, by community and cell of about five square kilometres.
-- Nobody's name, street or number is here.
create table waitlist (
    community text not null,
    -- An H3 index of resolution 7, hexadecimal.
    cell text not null check (length(cell) = 15),
    requests bigint not null check (requests >= 1),
    first_at bigint not null,
    last_at bigint not null,
    primary key (community, cell)
);

-- Who did what to whom, when and why. Only added to: who could change an entry could deny what was done.
create table audit (
    id bigint generated always as identity primary key,
    at bigint not null,
    actor text not null check (length(actor) between 1 and 200),
    role text not null check (role in ('viewer', 'dispatcher', 'admin', 'friend', 'partner', 'customer', 'system',
        'operator')),
    action text not null,
    subject_kind text not null check (subject_kind in ('job', 'friend', 'community', 'package', 'partner', 'directory',
        'search')),
    subject text not null,
    reason text,
    -- Words and numbers; never a name, number or address of a person.
    details json not null
);
create index audit_of_subject on audit (subject_kind, subject, id);
create function audit_is_only_added_to() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is only added to' using errcode = 'restrict_violation';
end
$$;
create trigger audit_is_not_changed before update or delete or truncate on audit
    for each statement execute function audit_is_only_added_to();
