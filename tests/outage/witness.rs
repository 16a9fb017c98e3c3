//! What friends, partners and the operator saw, each with the moment. Friends accept and work, a partner posts and reads,
//! the operator asks `/readyz`; everybody keeps on through an outage, as real ones would, and the observer of `kiez-load`
//! judges at the end whether anything that was acknowledged is gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use kiez_load::client::friend::Tap;
use kiez_load::client::{CallError, FriendClient, FriendConfig, FriendEvent, Http, Reconnect, Server};
use kiez_load::fleet::Partners;
use kiez_load::observe::{Observation, Observer, Rules};
use kiez_load::report::Report;
use kiez_protocol::friend::{FriendFrame, FriendMessage, Offer, Verdict, VisitEvent};
use kiez_protocol::ids::{FriendId, JobId, Key, PartnerSlug};
use kiez_protocol::partner::JobView;
use kiez_protocol::place::Point;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::common::process::{Process, get};
use crate::common::{friend_id, job, north, partner, town_documents};

/// An answer to a partner: when it was asked, how long it took, its status (0: none).
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    pub asked: Instant,
    pub took: Duration,
    pub status: u16,
}

/// An accept: when it was sent, when it was told to be pending, when it had its verdict.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub sent: Instant,
    pub pending: Option<Instant>,
    pub verdict: Option<(Instant, Verdict)>,
}

#[derive(Debug, Default)]
struct Notes {
    ready: Vec<(Instant, bool)>,
    posts: Vec<Answered>,
    reads: Vec<Answered>,
    accepts: HashMap<Key, Accepted>,
    offers: HashMap<kiez_protocol::ids::OfferId, Key>,
    downs: Vec<Instant>,
}

/// The town at work, and what it saw.
pub struct Witness {
    notes: Arc<Mutex<Notes>>,
    observer: Arc<Observer>,
    partners: Partners,
    friends: JoinSet<()>,
    others: JoinSet<()>,
    posting: CancellationToken,
    stop: CancellationToken,
}

/// What was seen between two moments.
#[derive(Debug)]
pub struct Seen {
    pub posts: HashMap<u16, usize>,
    pub slowest_refusal: Duration,
    pub reads: HashMap<u16, usize>,
    pub slowest_read: Duration,
    pub accepts: usize,
    pub pending: usize,
    pub downs: usize,
    pub not_ready: usize,
}

impl Witness {
    /// A town of so many friends on this server, with a post every `post_every`. One more is known, and stays away.
    pub async fn start(server: &Process, friends: usize, post_every: Duration) -> Witness {
        let documents = town_documents(friends + 1);
        server.admin().import(&documents).await.expect("the town is imported");
        let observer = Arc::new(Observer::new(Observation::new(Rules::at_scale(1), &documents)));
        let shop: PartnerSlug = "shop".parse().expect("a slug");
        let partners =
            Partners::with_keys(&server.admin(), std::slice::from_ref(&shop), observer.clone(), 90_000).await;
        let mut witness = Witness {
            notes: Arc::default(),
            observer: observer.clone(),
            partners: partners.expect("a key"),
            friends: JoinSet::new(),
            others: JoinSet::new(),
            posting: CancellationToken::new(),
            stop: CancellationToken::new(),
        };
        let ready = Arc::new(AtomicU64::new(0));
        for index in 0..friends {
            let id = friend_id(index);
            let token = server.admin().friend_token(id, Some(60)).await.expect("a token").token;
            let tap = Arc::new(NotingTap { inner: observer.tap(id), notes: witness.notes.clone() });
            let place = north(&[100.0 + 40.0 * index as f64])[0];
            let (at, stop, ready) = (server.server(), witness.stop.clone(), ready.clone());
            witness.friends.spawn(friend(at, id, token, place, tap, ready, stop));
        }
        let since = Instant::now();
        while ready.load(Ordering::Relaxed) < friends as u64 {
            assert!(since.elapsed() < Duration::from_secs(20), "not all friends are there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let http = partner_http(server, &shop).await;
        witness.others.spawn(posts(
            http.clone(),
            shop,
            observer,
            post_every,
            witness.notes.clone(),
            witness.posting.clone(),
        ));
        witness.others.spawn(readiness(server.admin_port, witness.notes.clone(), witness.stop.clone()));
        let first = partner(&server.http(), 5_000).await.post(&job("read"), "read").await.expect("posted").id;
        witness.others.spawn(reads(http, first, witness.notes.clone(), witness.stop.clone()));
        witness
    }

    /// Counts of what happened between two moments.
    pub fn seen(&self, from: Instant, to: Instant) -> Seen {
        let notes = self.notes.lock().expect("nobody panics");
        let within = |at: &Instant| (from..to).contains(at);
        let count = |answers: &[Answered]| {
            let mut counts = HashMap::new();
            for answer in answers.iter().filter(|answer| within(&answer.asked)) {
                *counts.entry(answer.status).or_default() += 1;
            }
            counts
        };
        let slowest = |answers: &[Answered], of: fn(u16) -> bool| {
            let took =
                answers.iter().filter(|answer| within(&answer.asked) && of(answer.status)).map(|answer| answer.took);
            took.max().unwrap_or_default()
        };
        let accepts: Vec<_> = notes.accepts.values().filter(|accept| within(&accept.sent)).collect();
        Seen {
            posts: count(&notes.posts),
            slowest_refusal: slowest(&notes.posts, |status| status == 503),
            reads: count(&notes.reads),
            slowest_read: slowest(&notes.reads, |_| true),
            accepts: accepts.len(),
            pending: accepts.iter().filter(|accept| accept.pending.is_some()).count(),
            downs: notes.downs.iter().filter(|at| within(at)).count(),
            not_ready: notes.ready.iter().filter(|(at, ready)| within(at) && !ready).count(),
        }
    }

    /// How long after `up` the server was ready and stayed so, and the last of those who had accepted before it had a
    /// verdict.
    pub async fn recovery(&self, up: Instant) -> (Duration, Duration) {
        let limit = Duration::from_secs(20);
        loop {
            {
                let notes = self.notes.lock().expect("nobody panics");
                let ready = notes.ready.iter().find(|(at, ready)| *at > up && *ready).map(|(at, _)| *at - up);
                let mut before = notes.accepts.values().filter(|accept| accept.sent < up);
                if let Some(ready) = ready
                    && before.clone().all(|accept| accept.verdict.is_some())
                {
                    let told = before.try_fold(Duration::ZERO, |last, accept| {
                        Some(last.max(accept.verdict?.0.saturating_duration_since(up)))
                    });
                    return (ready, told.expect("all have one"));
                }
            }
            assert!(up.elapsed() < limit, "it does not recover within {limit:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the posts, waits for what is owed, and judges.
    pub async fn finish(mut self) -> Report {
        self.posting.cancel();
        let since = Instant::now();
        while self.observer.note(|seen, _| seen.undecided()) > 0 && since.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.stop.cancel();
        while let Some(ended) = self.others.join_next().await {
            ended.expect("no panic");
        }
        while let Some(ended) = self.friends.join_next().await {
            ended.expect("no panic");
        }
        let views = self.partners.look().await.expect("the server answers");
        self.observer.note(|seen, _| seen.finish(&views))
    }
}

/// Notes what the story counts, and shows the observer everything.
struct NotingTap {
    inner: Arc<dyn Tap>,
    notes: Arc<Mutex<Notes>>,
}

impl Tap for NotingTap {
    fn sent(&self, frame: &FriendFrame) {
        self.inner.sent(frame);
        if let FriendFrame::Accept { offer, key, .. } = frame {
            let mut notes = self.notes.lock().expect("nobody panics");
            notes.offers.insert(*offer, *key);
            notes.accepts.entry(*key).or_insert(Accepted { sent: Instant::now(), pending: None, verdict: None });
        }
    }

    fn heard(&self, message: &FriendMessage) {
        self.inner.heard(message);
        let mut notes = self.notes.lock().expect("nobody panics");
        match message {
            FriendMessage::AcceptPending { offer } => {
                if let Some(key) = notes.offers.get(offer).copied()
                    && let Some(accept) = notes.accepts.get_mut(&key)
                {
                    accept.pending.get_or_insert(Instant::now());
                }
            }
            FriendMessage::AcceptResult { key, result, .. } if *result != Verdict::TryAgain => {
                if let Some(accept) = notes.accepts.get_mut(key) {
                    accept.verdict.get_or_insert((Instant::now(), *result));
                }
            }
            _ => {}
        }
    }

    fn down(&self) {
        self.inner.down();
        self.notes.lock().expect("nobody panics").downs.push(Instant::now());
    }
}

/// A friend who accepts what is offered after 0.2 to 3 s, and works quickly.
async fn friend(
    server: Server,
    id: FriendId,
    token: String,
    place: (f64, f64),
    tap: Arc<dyn Tap>,
    ready: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    let mut config = FriendConfig::new(server, token);
    (config.reconnect, config.tap) = (Reconnect::quick(), Some(tap));
    let mut client = FriendClient::new(config);
    let place = Point::new(place.0, place.1).expect("on earth");
    let mut thoughts = id.0.as_u128();
    let mut plans: Vec<(Instant, Offer)> = Vec::new();
    let mut held: HashMap<kiez_protocol::ids::OfferId, JobId> = HashMap::new();
    let mut is_ready = false;
    loop {
        let next = plans.iter().map(|(at, _)| *at).min().unwrap_or(Instant::now() + Duration::from_secs(1));
        let event = tokio::select! {
            event = client.next() => event,
            () = tokio::time::sleep_until(next.into()) => {
                let now = Instant::now();
                for (_, offer) in plans.extract_if(.., |(at, _)| *at <= now) {
                    client.accept(offer.offer, offer.revision);
                }
                continue;
            }
            () = stop.cancelled() => break,
        };
        let FriendEvent::Message(envelope) = event else { continue };
        match envelope.message {
            FriendMessage::Snapshot(snapshot) if !snapshot.duty.on => {
                client.duty(true);
            }
            FriendMessage::Snapshot(_) => {
                client.fix(place);
            }
            FriendMessage::Done { .. } if !is_ready => {
                client.fix(place);
                is_ready = true;
                ready.fetch_add(1, Ordering::Relaxed);
            }
            FriendMessage::Offer(offer) => {
                thoughts = thoughts.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let thinks = Duration::from_millis(200 + (thoughts >> 40) as u64 % 2_800);
                held.insert(offer.offer, offer.job);
                plans.push((Instant::now() + thinks, offer));
            }
            FriendMessage::OfferClosed { offer, .. } => plans.retain(|(_, planned)| planned.offer != offer),
            FriendMessage::AcceptResult { offer, result: Verdict::Won, .. } => {
                if let Some(job) = held.remove(&offer) {
                    client.visit(job, VisitEvent::Contacted, None);
                    client.visit(job, VisitEvent::Completed, None);
                }
            }
            _ => {}
        }
    }
    client.leave().await;
}

async fn partner_http(server: &Process, shop: &PartnerSlug) -> Http {
    let key = server.admin().partner_key(shop).await.expect("a key").token;
    server.http().with_key(key)
}

/// Posts at its times, whatever became of the posts before; each is repeated with its key until it is answered for good.
async fn posts(
    http: Http,
    shop: PartnerSlug,
    observer: Arc<Observer>,
    every: Duration,
    notes: Arc<Mutex<Notes>>,
    stop: CancellationToken,
) {
    let mut posts = JoinSet::new();
    for number in 0_u64.. {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => break,
        }
        let (http, shop, observer, notes) = (http.clone(), shop.clone(), observer.clone(), notes.clone());
        posts.spawn(async move {
            let (key, draft) = (format!("outage-{number}"), job("outage"));
            observer.note(|seen, at| seen.posting(at, &key, &shop, &draft));
            let began = Instant::now();
            loop {
                let asked = Instant::now();
                let answer = http.call::<JobView>(Method::POST, "/v1/jobs", Some(&key), Some(&draft)).await;
                let status = status(&answer);
                notes.lock().expect("nobody panics").posts.push(Answered { asked, took: asked.elapsed(), status });
                match answer {
                    Ok(view) => return observer.note(|seen, at| seen.posted(at, &key, &view)),
                    Err(fault) => match fault.retry_in().filter(|_| began.elapsed() < Duration::from_secs(100)) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => panic!("{fault}"),
                    },
                }
            }
        });
    }
    while let Some(ended) = posts.join_next().await {
        ended.expect("every post is answered for good");
    }
}

async fn reads(http: Http, job: JobId, notes: Arc<Mutex<Notes>>, stop: CancellationToken) {
    let path = format!("/v1/jobs/{job}");
    while !stop.is_cancelled() {
        let asked = Instant::now();
        let answer = http.call::<JobView>(Method::GET, &path, None, None::<&()>).await;
        let answered = Answered { asked, took: asked.elapsed(), status: status(&answer) };
        notes.lock().expect("nobody panics").reads.push(answered);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn status<A>(answer: &Result<A, CallError>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(CallError::Refused { problem, .. }) => problem.status,
        Err(CallError::Unreadable { status, .. }) => status.as_u16(),
        Err(CallError::NoAnswer { .. } | CallError::NotLoopback { .. } | CallError::NotAUrl { .. }) => 0,
    }
}

async fn readiness(port: u16, notes: Arc<Mutex<Notes>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ready = get(port, "/readyz").await.is_some_and(|(status, _)| status == 200);
        notes.lock().expect("nobody panics").ready.push((Instant::now(), ready));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
