//! A look from beside, while nothing is there, while a dispatcher has the ledger, and after it left.

use kiez::ledger::checkup::{Found, Lock, checkup};

use crate::cast::*;

pub async fn a_look_makes_nothing_and_sees_who_has_the_ledger(place: &Place) {
    let before = checkup(&place.url).await.expect("an empty place can be looked at");
    assert_eq!((before.schema.expect("no fault"), before.fence, before.lock), (Found::Nothing, None, Lock::Free));
    assert!(before.not_durable.is_empty() && !before.is_replica && before.clock.is_some() == place.is_postgres());
    if let kiez::ledger::checkup::Place::File(path) = before.place {
        assert!(!path.exists() && !path.with_extension("db.lock").exists(), "a look made a file");
    } else {
        assert!(
            place.sql("select 1 from pg_tables where schemaname = 'public'").await.is_empty(),
            "a look made a table"
        );
    }

    let opened = place.open().await;
    let during = checkup(&place.url).await.expect("beside a dispatcher");
    assert_eq!(during.schema.expect("no fault"), Found::Current);
    let fence = during.fence.expect("a row");
    assert!(fence.epoch == 1 && !fence.holder.is_empty() && fence.now.since(fence.seen_at) < 60_000, "{fence:?}");
    let Lock::Held(by) = during.lock else { panic!("{:?} while a dispatcher has it", during.lock) };
    let us = if place.is_postgres() { format!("kiez-writer-{}", fence.holder) } else { std::process::id().to_string() };
    assert!(by.contains(&us), "{by} is not {us}");

    end(opened).await;
    // The server needs a moment to see that the session is gone.
    let mut lock = Lock::Unknown;
    for _ in 0..50 {
        lock = checkup(&place.url).await.expect("after it").lock;
        if lock == Lock::Free {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(lock, Lock::Free);
    place.sql("delete from _sqlx_migrations").await;
    assert_eq!(checkup(&place.url).await.expect("looked").schema.expect("no fault"), Found::Nothing);
    place.sql("drop table fence").await;
    assert_eq!(checkup(&place.url).await.expect("looked").fence, None, "what is not there is not told");
}
