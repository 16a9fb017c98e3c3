//! The cast of the ledger's stories: a database of either engine, made anew for each story; jobs, offers, visits; and a
//! ledger that can be told to fail.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiez::dispatch::decision::{Candidate, Decision, Outcome as Seen, Waited};
use kiez::dispatch::effect::{
    Actor, By, EventRow, JobRecord, JobRow, Progress, Record, RunRow, Stored, StoredJob, Subject,
};
use kiez::dispatch::input::{PartnerKey, Terms};
use kiez::dispatch::job::{Booking, Delivery, Offer, OfferState, Pay, Run, Visit};
use kiez::dispatch::rank::{FairnessSeat, Wait};
use kiez::dispatch::talk::Talk;
use kiez::ledger::postgres::PostgresLedger;
use kiez::ledger::sqlite::SqliteLedger;
use kiez::ledger::{self, Ledger, OpenError, OpenOptions, Opened, Outcome, Submission, Trouble, WriterHandle};
use kiez_protocol::audit::AuditRole;
use kiez_protocol::directory::{Community, Friend, Package};
use kiez_protocol::friend::{ClosedReason, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tokio::sync::mpsc;
use uuid::Uuid;

/// 2026-11-23T17:00:00Z.
pub const START: Time = Time(1_795_453_200_000);
pub const HOUR: i64 = 3_600_000;
/// Records that may be unwritten at once.
pub const QUEUE_LEN_MAX: usize = 4_096;
pub const OPTIONS: OpenOptions = OpenOptions { dev: false, take_over: false, queue_len_max: QUEUE_LEN_MAX };

/// Who changes the directory in these stories.
pub fn by() -> By {
    By { actor: "desk".to_owned(), role: AuditRole::Admin, at: START }
}

/// An empty database of its own.
pub struct Place {
    pub url: String,
    kind: Kind,
}

enum Kind {
    Sqlite(tempfile::TempDir),
    Postgres { server: Box<PgConnectOptions>, database: String },
}

impl Place {
    #[expect(clippy::unused_async, reason = "both engines are asked alike")]
    pub async fn sqlite() -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        Place { url: format!("sqlite:{}", dir.path().join("kiez.db").display()), kind: Kind::Sqlite(dir) }
    }

    /// None where the stories of Postgres are skipped on purpose.
    pub async fn postgres() -> Option<Place> {
        let server = match std::env::var("KIEZ_TEST_POSTGRES") {
            Ok(skip) if skip == "skip" => return None,
            Ok(url) => url,
            Err(_) => panic!(
                "run ./test, which starts a Postgres; or set KIEZ_TEST_POSTGRES to the URL of a server where databases \
                 may be created, or to `skip`"
            ),
        };
        let options = PgConnectOptions::from_str(&server).expect("KIEZ_TEST_POSTGRES is a URL");
        let database = format!("kiez_{}", Uuid::new_v4().simple());
        let mut connection = options.connect().await.expect("the test server answers");
        connection.execute(AssertSqlSafe(format!("create database {database}"))).await.expect("may create databases");
        connection.close().await.expect("closes");
        let options = options.database(&database);
        let (before, query) = server.split_once('?').unwrap_or((&server, ""));
        let host = before.rsplit_once('/').expect("the URL of a server names a database").0;
        let url = format!("{host}/{database}?{query}");
        Some(Place { url, kind: Kind::Postgres { server: Box::new(options), database } })
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self.kind, Kind::Postgres { .. })
    }

    pub async fn open(&self) -> Opened {
        self.try_open(false).await.expect("the ledger opens")
    }

    pub async fn try_open(&self, dev: bool) -> Result<Opened, OpenError> {
        self.open_as(OpenOptions { dev, ..OPTIONS }).await
    }

    pub async fn open_as(&self, options: OpenOptions) -> Result<Opened, OpenError> {
        ledger::open(&self.url, options).await
    }

    /// Opens, and stores the documents that jobs are posted under.
    pub async fn open_with_documents(&self) -> Opened {
        let opened = self.open().await;
        opened.registry.put_community(community(), &by()).await.expect("stored");
        opened.registry.put_package(package(), &by()).await.expect("stored");
        opened
    }

    /// The bare ledger, with documents, that fails as it is told.
    pub async fn rig(&self) -> (Rig, Faults) {
        end(self.open_with_documents().await).await;
        let holder = Uuid::new_v4();
        let inner = match &self.kind {
            Kind::Sqlite(dir) => {
                Engine::Sqlite(SqliteLedger::open(&dir.path().join("kiez.db"), holder, false).await.expect("opens"))
            }
            Kind::Postgres { server, .. } => {
                Engine::Postgres(PostgresLedger::open(server, holder, false, false).await.expect("opens"))
            }
        };
        let faults = Faults::default();
        (Rig { inner, faults: faults.clone() }, faults)
    }

    /// What undoes the second migration, statement by statement: whatever it makes is unmade, the last first.
    pub fn undone(&self) -> Vec<String> {
        let made = match self.kind {
            Kind::Sqlite(_) => include_str!("../../migrations/sqlite/0002_suitable.sql"),
            Kind::Postgres { .. } => include_str!("../../migrations/postgres/0002_suitable.sql"),
        };
        let code: Vec<&str> = made.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        let code = code.join("\n");
        let undo = |statement: &str| {
            let words: Vec<&str> = statement.split(|c: char| c.is_whitespace() || c == '(').collect();
            match words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>()[..] {
                ["create", "table", name, ..] => Some(format!("drop table {name}")),
                ["create", "index", name, ..] | ["create", "unique", "index", name, ..] => {
                    Some(format!("drop index {name}"))
                }
                ["create", "function", name, ..] => Some(format!("drop function {name}() cascade")),
                ["alter", "table", table, "add", "column", column, ..] => {
                    Some(format!("alter table {table} drop column {column}"))
                }
                _ => None,
            }
        };
        code.split(';').rev().filter_map(undo).collect()
    }

    /// A hand from outside: runs a statement; all rows, their columns as text.
    pub async fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_sql(sql).await.expect("the statement runs")
    }

    /// The same, for what the database may refuse.
    pub async fn try_sql(&self, sql: &str) -> sqlx::Result<Vec<Vec<Option<String>>>> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.kind {
            Kind::Sqlite(dir) => {
                let options = SqliteConnectOptions::new()
                    .filename(dir.path().join("kiez.db"))
                    .busy_timeout(Duration::from_secs(5));
                let mut connection = options.connect().await.expect("connects");
                let rows = connection.fetch_all(sql).await?;
                Ok(rows.iter().map(|row| (0..row.len()).map(|i| row.get_unchecked(i)).collect()).collect())
            }
            Kind::Postgres { server, .. } => {
                let mut connection = server.connect().await.expect("connects");
                let rows = connection.fetch_all(sql).await?;
                Ok(rows.iter().map(|row| (0..row.len()).map(|i| row.get_unchecked(i)).collect()).collect())
            }
        }
    }

    pub async fn count(&self, table: &str) -> u64 {
        let rows = self.sql(&format!("select cast(count(*) as text) from {table}")).await;
        rows[0][0].as_deref().expect("a count").parse().expect("a number")
    }

    pub async fn remove(self) {
        if let Kind::Postgres { server, database } = self.kind {
            let mut connection = server.database("postgres").connect().await.expect("connects");
            connection
                .execute(AssertSqlSafe(format!("drop database {database} with (force)")))
                .await
                .expect("is dropped");
        }
    }
}

/// Lets the writer finish and waits until it has closed.
pub async fn end(opened: Opened) -> Vec<Outcome> {
    let Opened { writer, mut outcomes, .. } = opened;
    drop(writer);
    let mut rest = Vec::new();
    while let Some(outcome) = outcomes.recv().await {
        rest.push(outcome);
    }
    rest
}

/// What is to go wrong with the next writes, in order.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The commit happens and its reply is lost.
    UnknownButWritten,
    /// The connection is lost before the commit.
    UnknownAndNotWritten,
    /// The database is away for this try to reconnect.
    Away,
}

#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    pub fn add(&self, fault: Fault) {
        self.0.lock().unwrap().push_back(fault);
    }
    fn next(&self) -> Option<Fault> {
        self.0.lock().unwrap().pop_front()
    }
}

enum Engine {
    Sqlite(SqliteLedger),
    Postgres(PostgresLedger),
}

pub struct Rig {
    inner: Engine,
    faults: Faults,
}

macro_rules! inner {
    ($rig:expr, $ledger:ident => $call:expr) => {
        match $rig.inner {
            Engine::Sqlite($ledger) => $call.await,
            Engine::Postgres($ledger) => $call.await,
        }
    };
    (ref $rig:expr, $ledger:ident => $call:expr) => {
        match &mut $rig.inner {
            Engine::Sqlite($ledger) => $call.await,
            Engine::Postgres($ledger) => $call.await,
        }
    };
}

fn lost() -> Trouble {
    Trouble::Unreachable("a fault of the story".to_owned())
}

impl Ledger for Rig {
    async fn write(&mut self, batch: i64, records: &[&Record]) -> Result<(), Trouble> {
        match self.faults.next() {
            None => inner!(ref self, ledger => ledger.write(batch, records)),
            Some(Fault::UnknownButWritten) => {
                inner!(ref self, ledger => ledger.write(batch, records))?;
                Err(lost())
            }
            Some(Fault::UnknownAndNotWritten | Fault::Away) => Err(lost()),
        }
    }
    async fn written(&mut self, batch: i64) -> Result<bool, Trouble> {
        match self.faults.next() {
            Some(Fault::Away) => Err(lost()),
            Some(other) => {
                self.faults.0.lock().unwrap().push_front(other);
                inner!(ref self, ledger => ledger.written(batch))
            }
            None => inner!(ref self, ledger => ledger.written(batch)),
        }
    }
    async fn beat(&mut self) -> Result<(), Trouble> {
        inner!(ref self, ledger => ledger.beat())
    }
    async fn load(&mut self) -> Result<Stored, Trouble> {
        inner!(ref self, ledger => ledger.load())
    }
    async fn load_job(&mut self, job: JobId) -> Result<Option<StoredJob>, Trouble> {
        inner!(ref self, ledger => ledger.load_job(job))
    }
    async fn close(self) {
        inner!(self, ledger => ledger.close());
    }
}

/// Numbers submissions and reads outcomes.
pub struct Engineer {
    pub writer: WriterHandle,
    pub outcomes: mpsc::Receiver<Outcome>,
    pub ticket: u64,
}

impl Engineer {
    pub fn new(writer: WriterHandle, outcomes: mpsc::Receiver<Outcome>) -> Engineer {
        Engineer { writer, outcomes, ticket: 0 }
    }

    pub fn submit(&mut self, record: &JobRecord) -> u64 {
        self.ticket += 1;
        let subject = Subject::Job(record.job.id);
        let record = Record::Job(Box::new(record.clone()));
        self.writer.try_submit(Submission { ticket: self.ticket, record, subject }).expect("there is room");
        self.ticket
    }

    /// Waits until everything submitted has an outcome; the refused tickets, and what is stored for each.
    pub async fn settle(&mut self) -> Vec<(u64, Option<Box<StoredJob>>)> {
        let mut refused = Vec::new();
        loop {
            match self.outcomes.recv().await.expect("the writer lives") {
                Outcome::Written { through } if through == self.ticket => return refused,
                Outcome::Written { .. } | Outcome::Stands => {}
                Outcome::Refused { ticket, stored, .. } => refused.push((ticket, stored)),
                Outcome::Fenced => panic!("fenced"),
            }
        }
    }

    /// Submits one record and waits: whether it was written.
    pub async fn write(&mut self, record: &JobRecord) -> bool {
        self.submit(record);
        self.settle().await.is_empty()
    }

    /// Ends the writer and waits until it has closed.
    pub async fn end(self) {
        let Engineer { writer, mut outcomes, .. } = self;
        drop(writer);
        while outcomes.recv().await.is_some() {}
    }
}

pub fn community() -> Community {
    serde_json::from_value(json!({
        "slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
        "time_zone": "Europe/Berlin", "commission": {"id": "tenth", "basis_points": 1000}
    }))
    .expect("a community")
}

pub fn package() -> Package {
    serde_json::from_value(json!({
        "slug": "wifi-setup", "title": {"de": "WLAN einrichten", "en": "Wi-Fi setup"}, "category": "wifi",
        "duration_min": 60, "pricing": {"kind": "fixed", "price": {"amount": 4900, "currency": "EUR"}}
    }))
    .expect("a package")
}

pub fn friend(subject: Option<&str>) -> Friend {
    serde_json::from_value(json!({
        "id": Uuid::now_v7(), "subject": subject, "name": "Kim", "communities": ["berlin-tech"], "country": "DE"
    }))
    .expect("a friend")
}

pub fn euro(amount: i64) -> Money {
    Money { amount, currency: Currency::Eur }
}

pub fn new_friend() -> FriendId {
    FriendId(Uuid::now_v7())
}

pub fn pay() -> Pay {
    Pay { gross: euro(4900), commission: euro(490), net: euro(4410) }
}

/// A job posted with its first wave of four offers, three events, a decision and, if given, a key.
pub fn posted(key: Option<&str>) -> JobRecord {
    let id = JobId(Uuid::now_v7());
    let offers: Vec<Offer> = (0..4u8)
        .map(|seat| Offer {
            id: OfferId(Uuid::now_v7()),
            friend: new_friend(),
            attempt: 1,
            wave: 1,
            wave_seat: seat,
            seat: seat.into(),
            revision: 1,
            sent_at: START,
            expires_at: START + HOUR / 2,
            state: OfferState::Live,
            delivery: Delivery::Arrived,
            renewed: false,
            distance_m: 50 * u32::from(seat),
            pay: pay(),
            why: if seat == 3 { WhyReason::Fairness } else { WhyReason::Nearest },
            deficit_days: (seat == 3).then_some(3),
            rank: u16::from(seat) + 1,
        })
        .collect();
    let waited = Waited { wait: Wait { days: 3, newcomer: false, offers: 2 }, deficit_days: 3 };
    let decision = Decision {
        attempt: 1,
        wave: 1,
        at: START,
        policy_version: 1,
        cap_m: 3_800,
        seats: vec![0, 1, 2, 3],
        fairness: Some(FairnessSeat { seat: 3, reach_percent: 150 }),
        median_offers: 2,
        candidates: offers
            .iter()
            .map(|offer| Candidate {
                friend: offer.friend,
                distance_m: offer.distance_m,
                waited: Some(waited),
                outcome: Seen::Seat { seat: offer.wave_seat, rank: offer.rank, why: offer.why },
            })
            .collect(),
        beyond_m: Some(900),
        passed: None,
    };
    let booking: Booking = serde_json::from_value(json!({
        "place": {"lat": 52.4996, "lng": 13.418}, "address":
        {"street": "Oranienstr. 1", "postcode": "10999", "city": "Berlin", "country": "DE"},
        "customer": {"name": "Ada Łuczak", "phone": "+493012345", "language": "de"},
        "answers": {"router": "Fritz!Box \"7590\"", "floors": 3, "garden": false},
        "windows": [{"from": "2026-11-24T17:00:00Z", "to": "2026-11-24T20:00:00Z"}], "urgency": "normal",
        "payment_method": "card_online", "max_hourly_rate": null, "partner_ref": "A-4711"
    }))
    .expect("a booking");
    let partner: kiez_protocol::ids::PartnerSlug = "shop".parse().expect("a slug");
    let view = serde_json::from_value(json!({
        "id": id, "state": "dispatching", "attempt": 1, "wave": 1, "offers_out": 4, "asked": 4, "revision": 1,
        "sequence": 3, "package": "wifi-setup", "community": "berlin-tech", "price": euro(4900),
        "commission": euro(490), "urgency": "normal", "windows": booking.windows, "partner_ref": "A-4711",
        "created_at": START, "expires_at": START + 72 * HOUR
    }))
    .expect("a view");
    let run = Run { started_at: START, wave: 1, next_wave_at: START + 180_000, asked: 4, alarm_at: START + HOUR };
    JobRecord {
        job: JobRow {
            id,
            partner,
            partner_ref: Some("A-4711".to_owned()),
            terms: Terms {
                package: Arc::new(package()),
                package_version: 1,
                community: Arc::new(community()),
                community_version: 1,
                commission: community().commission,
            },
            created_at: START,
            updated_at: START,
            next_deadline: Some(START + 180_000),
            view,
            progress: Progress {
                run,
                hand_backs: 0,
                state_due: None,
                blocked: vec![new_friend()],
                reason: None,
                pause: None,
                vague: 0,
                hold_until: None,
                undoable: Vec::new(),
            },
        },
        booking: Some(Arc::new(booking)),
        runs: vec![RunRow { attempt: 1, started_at: START, waves: 1, asked: 4, ended_at: None, end: None }],
        offers,
        visits: Vec::new(),
        events: (1..=3).map(|sequence| event(sequence, JobState::Dispatching)).collect(),
        decisions: vec![decision],
        key: key.map(|key| PartnerKey { key: key.to_owned(), body: [7; 32] }),
        talk: Talk::default(),
        audit: Vec::new(),
    }
}

pub fn event(sequence: u32, to: JobState) -> EventRow {
    EventRow {
        sequence,
        from: (sequence > 1).then_some(JobState::Dispatching),
        to,
        kind: "wave_opened",
        actor: if sequence == 1 { Actor::Partner("shop".parse().expect("a slug")) } else { Actor::System },
        reason: None,
        at: START,
        client_at: None,
    }
}

/// The record that follows `before`: nothing but the job's row and one event.
pub fn next(before: &JobRecord) -> JobRecord {
    let mut record = before.clone();
    record.job.view.sequence += 1;
    record.events = vec![event(record.job.view.sequence, record.job.view.state)];
    record.booking = None;
    record.runs.clear();
    record.offers.clear();
    record.visits.clear();
    record.decisions.clear();
    record.key = None;
    record
}

/// The record in which the offer at `seat` wins, in this place of its friend.
pub fn won(before: &JobRecord, seat: usize, place: u8) -> JobRecord {
    let mut record = next(before);
    let assigned_at = START + 60_000;
    record.job.view.state = JobState::Assigned;
    record.job.next_deadline = Some(assigned_at + 12 * HOUR);
    record.events[0].to = JobState::Assigned;
    record.offers = before.offers.clone();
    for (at, offer) in record.offers.iter_mut().enumerate() {
        let reason = if at == seat { ClosedReason::Won } else { ClosedReason::Taken };
        offer.state = OfferState::Closed(reason);
    }
    let offer = &record.offers[seat];
    record.visits = vec![Visit {
        friend: offer.friend,
        offer: offer.id,
        attempt: offer.attempt,
        place,
        pay: pay(),
        key: Key(Uuid::now_v7()),
        assigned_at,
        contact_due: assigned_at + 12 * HOUR,
        appointment: None,
        active: true,
        ended: None,
    }];
    record.runs = vec![RunRow {
        attempt: offer.attempt,
        started_at: START,
        waves: 1,
        asked: 4,
        ended_at: Some(assigned_at),
        end: Some(JobState::Assigned),
    }];
    record
}

/// What `restore` should get after these records of one job.
pub fn stored(records: &[&JobRecord]) -> String {
    let last = records.last().expect("a record");
    let newest = |id: OfferId| {
        let mut offers = records.iter().rev().flat_map(|record| &record.offers);
        offers.find(|offer| offer.id == id).expect("was made").clone()
    };
    let job = StoredJob {
        row: last.job.clone(),
        booking: records.iter().rev().find_map(|record| record.booking.clone()).expect("was booked"),
        offers: records[0].offers.iter().map(|offer| newest(offer.id)).collect(),
        visit: records.iter().rev().find_map(|record| record.visits.last().cloned()),
        talk: said(records),
    };
    format!("{job:?}")
}

/// What all records together say: the last of each.
fn said(records: &[&JobRecord]) -> Talk {
    let mut talk = Talk::default();
    for new in records.iter().map(|record| &record.talk) {
        talk.questions.retain(|asked| new.questions.iter().all(|question| question.number != asked.number));
        talk.questions.extend(new.questions.iter().cloned());
        talk.proposals.retain(|made| new.proposals.iter().all(|proposal| proposal.offer != made.offer));
        talk.proposals.extend(new.proposals.iter().cloned());
        talk.messages.extend(new.messages.iter().cloned());
    }
    talk.questions.sort_by_key(|asked| asked.number);
    talk
}
