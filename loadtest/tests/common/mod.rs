//! A small stand-in for a kiez server: enough of the wire to dispatch for real, and able to do it wrong on purpose. It
//! keeps everything in memory and searches by brute force.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a cast member that cannot go on has failed its story"
)]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use kiez_load::client::Server;
use kiez_protocol::directory::{Friend, ImportLine, ImportReport, TokenRequest, TokenView};
use kiez_protocol::friend::{
    ClosedReason, CommunityName, Duty, Envelope, FriendFrame, FriendMessage, JobCard, LostReason, Offer, Snapshot,
    Verdict, VisitEvent, Welcome, Why, WhyReason,
};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, OfferId, SessionId};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::partner::{Answers, FriendName, JobState, JobView, PostJob};
use kiez_protocol::place::{Point, rounded_m};
use kiez_protocol::refusal::{Code, Problem};
use kiez_protocol::time::Time;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use uuid::Uuid;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mischief {
    /// Nothing.
    #[default]
    None,
    /// Never asks the nearest.
    SkipsTheNearest,
    /// Tells everybody that they have won.
    EverybodyWins,
    /// Does not answer those who come second.
    SilentToLosers,
    /// Does not know any job afterwards.
    ForgetsJobs,
    /// Breaks the connection at the first sight of each accept, and answers its repeat.
    BreaksAtAccepts,
    /// Answers the first post with 503.
    BusyOnce,
    /// Answers the first accept of each offer with `try_again`.
    UndecidedOnce,
}

/// A job in the stand-in.
struct Job {
    post: PostJob,
    view: JobView,
    offers: Vec<(OfferId, FriendId, bool)>,
    winner: Option<FriendId>,
}

#[derive(Default)]
struct State {
    mischief: Mischief,
    time_scale: u32,
    friends: HashMap<FriendId, Friend>,
    tokens: HashMap<String, FriendId>,
    sockets: HashMap<FriendId, mpsc::UnboundedSender<Out>>,
    on_duty: HashMap<FriendId, bool>,
    places: HashMap<FriendId, Point>,
    jobs: BTreeMap<JobId, Job>,
    keys: HashMap<String, JobId>,
    held: HashMap<FriendId, Vec<JobId>>,
    communities: HashMap<String, CommunitySlug>,
    seen_accepts: Vec<OfferId>,
    acks: u64,
    hellos: u64,
    refused_posts: u64,
}

enum Out {
    Message(Box<FriendMessage>),
    Close(u16),
}

/// A running stand-in.
#[derive(Clone)]
pub struct FakeKiez {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl FakeKiez {
    pub async fn start(mischief: Mischief, time_scale: u32) -> FakeKiez {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { mischief, time_scale, ..State::default() }));
        let fake = FakeKiez { url, state };
        let server = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        fake
    }

    pub fn server(&self) -> Server {
        Server::at(&self.url).unwrap()
    }

    pub fn know(&self, friend: Friend) -> String {
        let mut state = self.state.lock().unwrap();
        let token = format!("token-{}", friend.id);
        state.tokens.insert(token.clone(), friend.id);
        state.friends.insert(friend.id, friend);
        token
    }

    pub fn send(&self, friend: FriendId, message: FriendMessage) {
        let state = self.state.lock().unwrap();
        state.sockets[&friend].send(Out::Message(Box::new(message))).unwrap();
    }

    pub fn close(&self, friend: FriendId, code: u16) {
        let state = self.state.lock().unwrap();
        let _ = state.sockets[&friend].send(Out::Close(code));
    }

    pub fn acks(&self) -> u64 {
        self.state.lock().unwrap().acks
    }

    pub fn hellos(&self) -> u64 {
        self.state.lock().unwrap().hellos
    }

    pub fn place_of(&self, friend: FriendId) -> Option<Point> {
        self.state.lock().unwrap().places.get(&friend).copied()
    }

    async fn serve(self, stream: TcpStream) {
        let mut start = [0; 14];
        // A request line comes in one piece on loopback.
        if stream.peek(&mut start).await.is_err() {
            return;
        }
        stream.set_nodelay(true).unwrap();
        if &start == b"GET /v1/friend" { self.friend(stream).await } else { self.http(stream).await }
    }

    #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    async fn friend(self, stream: TcpStream) {
        let agree = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], "kiez.v1");
            response.headers_mut().insert("sec-websocket-protocol", "kiez.v1".parse().unwrap());
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(stream, agree).await else { return };
        let Some(Ok(Message::Text(hello))) = socket.next().await else { return };
        let FriendFrame::Hello { token, .. } = serde_json::from_str(&hello).unwrap() else {
            panic!("no hello: {hello}")
        };
        let (out, mut outbox) = mpsc::unbounded_channel();
        let welcomed = {
            let mut state = self.state.lock().unwrap();
            state.hellos += 1;
            state.tokens.get(&token).copied().inspect(|friend| {
                state.sockets.insert(*friend, out.clone());
                let welcome = Welcome {
                    session: SessionId(Uuid::new_v4()),
                    resumed: false,
                    server_time: Time(1_760_000_000_000),
                    time_scale: state.time_scale,
                    heartbeat_ms: 25_000,
                    friend: *friend,
                };
                let _ = out.send(Out::Message(Box::new(FriendMessage::Welcome(welcome))));
                let snapshot = state.snapshot(*friend);
                let _ = out.send(Out::Message(Box::new(FriendMessage::Snapshot(snapshot))));
            })
        };
        let Some(friend) = welcomed else {
            let frame = CloseFrame { code: 4500.into(), reason: "bad token".into() };
            let _ = socket.close(Some(frame)).await;
            return;
        };
        let mut seq = 0;
        loop {
            tokio::select! {
                message = outbox.recv() => match message {
                    Some(Out::Message(message)) => {
                        let owed = !matches!(*message, FriendMessage::Welcome(_) | FriendMessage::Snapshot(_));
                        seq += u64::from(owed);
                        let text = serde_json::to_string(&Envelope { seq: owed.then_some(seq), message: *message }).unwrap();
                        if socket.send(Message::text(text)).await.is_err() {
                            return;
                        }
                    }
                    Some(Out::Close(code)) => {
                        let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "test".into() })).await;
                        return;
                    }
                    None => return,
                },
                frame = socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        let frame = serde_json::from_str(&text).unwrap();
                        if !self.state.lock().unwrap().frame(friend, frame) {
                            return;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        let mut state = self.state.lock().unwrap();
                        if state.sockets.get(&friend).is_some_and(|socket| socket.same_channel(&out)) {
                            state.sockets.remove(&friend);
                        }
                        return;
                    }
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    async fn http(self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        loop {
            let head_len = loop {
                if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
            };
            let head = String::from_utf8(buffer[..head_len].to_vec()).unwrap();
            let header = |name: &str| {
                let find = |line: &str| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                };
                head.lines().find_map(find)
            };
            let body_len: usize = header("content-length").map_or(0, |len| len.parse().unwrap());
            while buffer.len() < head_len + body_len {
                stream.read_buf(&mut buffer).await.unwrap();
            }
            let body = String::from_utf8(buffer[head_len..head_len + body_len].to_vec()).unwrap();
            buffer.drain(..head_len + body_len);
            let mut words = head.split_whitespace();
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let bearer = header("authorization").unwrap();
            let partner = bearer.strip_prefix("Bearer ").unwrap().trim_start_matches("kz_live_");
            let answer = self.state.lock().unwrap().call(method, path, partner, header("idempotency-key"), &body);
            let (status, retry, body) = match answer {
                Ok(body) => (200, "", body),
                Err(code) => {
                    let problem = Problem {
                        kind: "test".into(),
                        title: code.title().into(),
                        status: code.status(),
                        detail: path.to_owned(),
                        code,
                        param: None,
                        state: None,
                        allowed: Vec::new(),
                        errors: vec![],
                        request_id: "r".into(),
                    };
                    let retry = if code.status() == 503 { "retry-after: 0\r\n" } else { "" };
                    (code.status(), retry, serde_json::to_string(&problem).unwrap())
                }
            };
            let answer = format!("HTTP/1.1 {status} X\r\n{retry}content-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl State {
    fn call(
        &mut self,
        method: &str,
        path: &str,
        partner: &str,
        key: Option<String>,
        body: &str,
    ) -> Result<String, Code> {
        let json = |value: &dyn erased::Json| value.json();
        match (method, path) {
            ("POST", "/v1/admin/import") => {
                let mut report = ImportReport::default();
                for line in body.lines() {
                    let kind = match serde_json::from_str(line).unwrap() {
                        ImportLine::Community(_) => "community",
                        ImportLine::Package(_) => "package",
                        ImportLine::Partner(partner) => {
                            self.communities.insert(partner.slug.to_string(), partner.community.unwrap());
                            "partner"
                        }
                        ImportLine::Friend(friend) => {
                            self.friends.insert(friend.id, friend);
                            "friend"
                        }
                    };
                    *report.imported.entry(kind.into()).or_default() += 1;
                }
                Ok(json(&report))
            }
            ("POST", "/v1/admin/tokens") => {
                let token = match serde_json::from_str(body).unwrap() {
                    TokenRequest::Friend { friend, .. } => {
                        let token = format!("token-{friend}");
                        self.tokens.insert(token.clone(), friend);
                        token
                    }
                    TokenRequest::Ops { .. } => "ops".into(),
                    TokenRequest::Partner { partner } => format!("kz_live_{partner}"),
                };
                Ok(json(&TokenView { token, expires_at: None }))
            }
            ("POST", "/v1/jobs") => {
                let key = key.expect("posts carry a key");
                if let Some(known) = self.keys.get(&key) {
                    return Ok(json(&self.jobs[known].view));
                }
                if self.mischief == Mischief::BusyOnce && self.refused_posts == 0 {
                    self.refused_posts += 1;
                    return Err(Code::Unavailable);
                }
                let post: PostJob = serde_json::from_str(body).unwrap();
                let id = JobId(Uuid::now_v7_like(self.jobs.len() as u128));
                let view = self.post(id, post, self.communities[partner].clone());
                self.keys.insert(key, id);
                Ok(json(&view))
            }
            ("GET", path) if path.starts_with("/v1/jobs/") && self.mischief != Mischief::ForgetsJobs => {
                let id = path.trim_start_matches("/v1/jobs/").parse().unwrap();
                self.jobs.get(&id).map(|job| json(&job.view)).ok_or(Code::NotFound)
            }
            _ => Err(Code::NotFound),
        }
    }

    fn nearest(&self, place: Point, asked: &[FriendId], wanted: usize) -> Vec<(u32, FriendId)> {
        let mut near: Vec<(u32, FriendId)> = Vec::new();
        let mut hands: HashMap<FriendId, usize> = HashMap::new();
        for (_, who, _) in self.jobs.values().flat_map(|job| &job.offers).filter(|(.., live)| *live) {
            *hands.entry(*who).or_default() += 1;
        }
        for (friend, at) in &self.places {
            let hand = hands.get(friend).copied().unwrap_or(0);
            let held = self.held.get(friend).map_or(0, Vec::len);
            let profile = &self.friends[friend];
            let fits = self.on_duty.get(friend) == Some(&true)
                && !asked.contains(friend)
                && hand < 3
                && held < usize::from(profile.jobs_held_max)
                && at.distance_m(place) <= f64::from(profile.radius_m);
            if fits {
                near.push((rounded_m(at.distance_m(place)), *friend));
            }
        }
        near.sort_unstable();
        let skip = usize::from(self.mischief == Mischief::SkipsTheNearest);
        near.into_iter().skip(skip).take(wanted).collect()
    }

    fn post(&mut self, id: JobId, post: PostJob, community: CommunitySlug) -> JobView {
        let view = JobView {
            id,
            state: JobState::Dispatching,
            attempt: 1,
            wave: 1,
            offers_out: 0,
            asked: 0,
            revision: 1,
            sequence: 1,
            package: post.package.clone(),
            community,
            policy_version: 1,
            price: None,
            commission: None,
            missing_answers: vec![],
            urgency: post.urgency,
            windows: post.windows.clone(),
            partner_ref: None,
            friend: None,
            created_at: Time(0),
            assigned_at: None,
            contact_due: None,
            customer_url: None,
            appointment: None,
            questions: Vec::new(),
            proposals: Vec::new(),
            expires_at: Time(0),
            reason: None,
        };
        self.jobs.insert(id, Job { post, view: view.clone(), offers: vec![], winner: None });
        self.ask(id, 4, 0);
        view
    }

    fn ask(&mut self, id: JobId, wanted: usize, first_seat: usize) {
        let place = self.jobs[&id].post.location;
        let asked: Vec<FriendId> = self.jobs[&id].offers.iter().map(|(_, friend, _)| *friend).collect();
        let ends = 1_760_001_800_000 + asked.len() as i64;
        for (number, (distance_m, friend)) in self.nearest(place, &asked, wanted).into_iter().enumerate() {
            let offer = OfferId(Uuid::new_v4());
            let job = self.jobs.get_mut(&id).unwrap();
            job.offers.push((offer, friend, true));
            let message = an_offer(offer, id, &job.view, (first_seat + number) as u8, distance_m, Time(ends));
            self.tell(friend, FriendMessage::Offer(message));
        }
    }

    fn tell(&self, friend: FriendId, message: FriendMessage) {
        if let Some(socket) = self.sockets.get(&friend) {
            let _ = socket.send(Out::Message(Box::new(message)));
        }
    }

    fn snapshot(&self, friend: FriendId) -> Snapshot {
        let mut offers = Vec::new();
        for (id, job) in &self.jobs {
            for (seat, (offer, who, live)) in job.offers.iter().enumerate() {
                if *who == friend && *live {
                    let distance_m = rounded_m(self.places[who].distance_m(job.post.location));
                    let ends = Time(1_760_001_800_000 + if seat < 4 { 0 } else { seat as i64 });
                    offers.push(an_offer(*offer, *id, &job.view, seat as u8 % 4, distance_m, ends));
                }
            }
        }
        let on = self.on_duty.get(&friend) == Some(&true);
        let held = self.held.get(&friend).into_iter().flatten();
        let visits = held.map(|id| a_card(&self.jobs[id].view)).collect();
        Snapshot { duty: Duty { on, until: None }, offers, visits, verdicts: Vec::new(), messages: Vec::new() }
    }

    /// False when the connection is to be broken.
    fn frame(&mut self, friend: FriendId, frame: FriendFrame) -> bool {
        match frame {
            FriendFrame::Duty { on, key, .. } => {
                self.on_duty.insert(friend, on);
                if let Some(key) = key {
                    self.tell(friend, FriendMessage::Done { key });
                }
            }
            FriendFrame::Fix { lat, lng, .. } => {
                if self.on_duty.get(&friend) == Some(&true) {
                    self.places.insert(friend, Point::new(lat, lng).unwrap());
                }
            }
            FriendFrame::Accept { offer, key, .. } => return self.accept(friend, offer, key),
            FriendFrame::Decline { offer, key, .. } => {
                let found = self.jobs.iter_mut().find_map(|(id, job)| {
                    let seat = job.offers.iter().position(|(known, who, _)| *known == offer && *who == friend)?;
                    let open = job.winner.is_none();
                    job.offers[seat].2 = false;
                    Some((*id, seat, open))
                });
                if let Some((id, seat, true)) = found {
                    self.ask(id, 1, seat % 4);
                }
                if let Some(key) = key {
                    self.tell(friend, FriendMessage::Done { key });
                }
            }
            FriendFrame::Visit { job, event, key, .. } => {
                if matches!(event, VisitEvent::Completed | VisitEvent::HandBack) {
                    self.held.entry(friend).or_default().retain(|held| *held != job);
                }
                if let Some(job) = self.jobs.get_mut(&job).filter(|_| event == VisitEvent::Completed) {
                    job.view.state = JobState::Done;
                }
                self.tell(friend, FriendMessage::Done { key });
            }
            FriendFrame::Ack { .. } => self.acks += 1,
            FriendFrame::Ping { t } => self.tell(friend, FriendMessage::Pong { t }),
            FriendFrame::Hello { .. }
            | FriendFrame::Seen { .. }
            | FriendFrame::Missed { .. }
            | FriendFrame::WhyNot { .. }
            | FriendFrame::Settings { .. }
            | FriendFrame::Ask { .. }
            | FriendFrame::Propose { .. }
            | FriendFrame::Message { .. }
            | FriendFrame::Undo { .. }
            | FriendFrame::Refresh { .. } => {}
        }
        true
    }

    fn accept(&mut self, friend: FriendId, offer: OfferId, key: kiez_protocol::ids::Key) -> bool {
        let first_seen = !self.seen_accepts.contains(&offer);
        self.seen_accepts.push(offer);
        if first_seen && self.mischief == Mischief::BreaksAtAccepts {
            return false;
        }
        if first_seen && self.mischief == Mischief::UndecidedOnce {
            self.tell(friend, FriendMessage::AcceptResult { offer, key, result: Verdict::TryAgain, reason: None });
            return true;
        }
        let mischief = self.mischief;
        let found = self.jobs.iter_mut().find(|(_, job)| job.offers.iter().any(|(known, ..)| *known == offer));
        let Some((id, job)) = found else {
            let message_key = "not_found".to_owned();
            let (key, offer) = (Some(key), Some(offer));
            let code = Code::NotFound;
            self.tell(friend, FriendMessage::Error { code, key, offer, job: None, message_key, allowed: vec![] });
            return true;
        };
        let id = *id;
        let won = job.winner.is_none_or(|winner| winner == friend) || mischief == Mischief::EverybodyWins;
        let mut closed = Vec::new();
        if won && job.winner.is_none() {
            job.winner = Some(friend);
            job.view.state = JobState::Assigned;
            job.view.friend = Some(FriendName { id: friend, name: "F".into() });
            for (offer, who, live) in job.offers.iter_mut().filter(|(.., live)| *live) {
                *live = false;
                if *who != friend {
                    closed.push((*offer, *who));
                }
            }
            self.held.entry(friend).or_default().push(id);
        }
        if won || mischief != Mischief::SilentToLosers {
            let (result, reason) = if won { (Verdict::Won, None) } else { (Verdict::Lost, Some(LostReason::Taken)) };
            self.tell(friend, FriendMessage::AcceptResult { offer, key, result, reason });
        }
        for (offer, who) in closed {
            // So that somebody else tries as well, wrongs leave the offers standing.
            if !matches!(mischief, Mischief::EverybodyWins | Mischief::SilentToLosers) {
                self.tell(who, FriendMessage::OfferClosed { offer, reason: ClosedReason::Taken });
            }
        }
        true
    }
}

fn a_card(view: &JobView) -> JobCard {
    let eur = |amount| Money { amount, currency: Currency::Eur };
    JobCard {
        job: view.id,
        state: view.state,
        revision: 1,
        attempt: 1,
        community: CommunityName { slug: view.community.clone(), brand: "B".into() },
        package: view.package.clone(),
        title: "T".into(),
        duration_min: 60,
        answers: Answers::new(),
        windows: vec![],
        location: None,
        address: None,
        customer: None,
        gross: eur(3_900),
        commission: eur(390),
        net: eur(3_510),
        payment_method: kiez_protocol::money::PaymentMethod::Cash,
        assigned_at: Time(0),
        contact_due: Time(0),
        appointment: None,
        allowed: vec![],
    }
}

fn an_offer(offer: OfferId, job: JobId, view: &JobView, seat: u8, distance_m: u32, expires_at: Time) -> Offer {
    let eur = |amount| Money { amount, currency: Currency::Eur };
    Offer {
        offer,
        job,
        revision: 1,
        attempt: 1,
        wave: 1,
        seat,
        direct: false,
        expires_at,
        community: CommunityName { slug: view.community.clone(), brand: "B".into() },
        package: view.package.clone(),
        title: "T".into(),
        duration_min: 60,
        answers: Answers::new(),
        windows: vec![],
        language: kiez_protocol::directory::Language::De,
        cell: "881f1d4c1bfffff".into(),
        district: "10999 Berlin".into(),
        distance_m,
        gross: eur(3_900),
        commission: eur(390),
        net: eur(3_510),
        payment_method: kiez_protocol::money::PaymentMethod::Cash,
        why: Why { reason: WhyReason::Nearest, rank: 1, distance_m: 0, deficit_days: None },
        questions: Vec::new(),
        proposal: None,
        allowed: vec![],
    }
}

trait SortableId {
    fn now_v7_like(number: u128) -> Uuid;
}
impl SortableId for Uuid {
    /// Sorts by its number.
    fn now_v7_like(number: u128) -> Uuid {
        Uuid::from_u128((1 << 80) + number)
    }
}

mod erased {
    /// Anything that can be written as JSON.
    pub trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}
