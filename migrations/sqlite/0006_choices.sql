-- Records of choices grow old: after thirty days those who were not chosen are counts, after a year the record is gone.

-- When those who were not chosen became counts.
alter table decisions add column shrunk_at integer;
-- What is due next, without reading what is not.
create index decisions_whole on decisions (at) where shrunk_at is null;
create index decisions_shrunk on decisions (at) where shrunk_at is not null;
