-- Records of choices grow old: after thirty days those who were not chosen are counts, after a year the record is gone.

-- A name for each, by which it is rewritten.
alter table decisions add column id bigint generated always as identity primary key;
-- When those who were not chosen became counts.
alter table decisions add column shrunk_at bigint;
-- What is due next, without reading what is not.
create index decisions_whole on decisions (at) where shrunk_at is null;
create index decisions_shrunk on decisions (at) where shrunk_at is not null;
