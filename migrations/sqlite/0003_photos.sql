-- Photos of friends for their cards, one each, as they left the door: without what a camera writes beside a picture. A row
-- without bytes says that there is none any more, so that whoever follows the directory learns of it.
create table photos (
    friend text primary key,
    -- A closed list: a browser is told this word, and nothing that was sent.
    media text check (media in ('image/jpeg', 'image/png', 'image/webp')),
    bytes blob check (length(bytes) between 1 and 65536),
    stored_at integer not null,
    directory_version integer not null,
    check ((media is null) = (bytes is null))
) strict;
create index photos_by_version on photos (directory_version);
