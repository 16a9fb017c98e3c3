-- Photos of friends for their cards, one each, as they left the door: without what a camera writes beside a picture. A row
-- without bytes says that there is none any more, so that whoever follows the directory learns of it.
create table photos (
    friend uuid primary key,
    -- A closed list: a browser is told this word, and nothing that was sent.
    media text check (media in ('image/jpeg', 'image/png', 'image/webp')),
    bytes bytea check (octet_length(bytes) between 1 and 65536),
    stored_at bigint not null,
    directory_version bigint not null,
    check ((media is null) = (bytes is null))
);
create index photos_by_version on photos (directory_version);
