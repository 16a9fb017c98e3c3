//! A friend in the terminal: shows every frame as it goes and comes, one line each, and takes short commands. Good for
//! joining a demo, for looking at the wire, and for scripts, which write the commands to standard input.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kiez_load::client::friend::Tap;
use kiez_load::client::{FriendClient, FriendConfig, FriendEvent, Server};
use kiez_protocol::directory::Language;
use kiez_protocol::friend::{DeclineReason, FriendFrame, FriendMessage, Offer, Verdict, VisitEvent};
use kiez_protocol::ids::{JobId, Key};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::Point;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::Instant;

const COMMANDS: &str =
    "d duty on/off · a accept · n decline · c contacted · f finished · h hand back · p LAT LNG · q quit";
/// A position is said again after so long, so that it stays fresh.
const FIX_AGAIN: Duration = Duration::from_secs(5 * 60);

/// `kiez-load friend`.
#[derive(Args)]
#[command(after_help = "\
Commands, one a line: d duty on or off · a accept the newest offer · n decline it · c contacted the customer ·
f finished the work · h hand the job back · p LAT LNG be there · q quit. Lines that go out begin with >, lines that come
with <.

  kiez-load friend --token eyJ… --at 52.5,13.42
  printf 'd\\np 52.5 13.42\\n' | kiez-load friend --token eyJ… --for 30s")]
pub struct FriendArgs {
    /// The server, on this machine.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The friend's token, as `kiez demo` and `kiez token friend` print it.
    #[arg(long, env = "KIEZ_FRIEND_TOKEN", hide_env_values = true)]
    token: String,
    /// Go on duty at once, at this place.
    #[arg(long, value_name = "LAT,LNG", value_parser = place)]
    at: Option<Point>,
    /// Stay so long, whatever standard input does; without it the end of standard input is the end.
    #[arg(long = "for", value_name = "30s", value_parser = crate::command::length)]
    stay: Option<Duration>,
    /// The language of texts: de, en, fr, it or pl.
    #[arg(long, default_value = "de", value_parser = language)]
    language: Language,
}

/// Prints what goes over the wire.
struct Printed;

impl Tap for Printed {
    fn sent(&self, frame: &FriendFrame) {
        println!("> {}", serde_json::to_string(frame).unwrap_or_default());
    }
    fn heard(&self, message: &FriendMessage) {
        println!("< {}", serde_json::to_string(message).unwrap_or_default());
    }
    fn down(&self) {}
}

struct Terminal {
    client: FriendClient,
    on_duty: bool,
    /// A change of duty that is not answered yet.
    asked: Option<(Key, bool)>,
    place: Option<Point>,
    placed_at: Option<Instant>,
    /// Live offers, oldest first.
    offers: Vec<Offer>,
    /// Jobs held, oldest first.
    jobs: VecDeque<JobId>,
}

/// Runs until told to quit; false when the server does not want this friend.
pub async fn run(args: FriendArgs) -> anyhow::Result<bool> {
    let mut config = FriendConfig::new(Server::at(&args.url)?, args.token);
    config.language = args.language;
    config.tap = Some(Arc::new(Printed));
    config.seed = u64::from(std::process::id());
    let mut terminal = Terminal {
        client: FriendClient::new(config),
        on_duty: false,
        asked: None,
        place: args.at,
        placed_at: None,
        offers: Vec::new(),
        jobs: VecDeque::new(),
    };
    if args.at.is_some() {
        terminal.duty(true);
    }
    eprintln!("{COMMANDS}");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut end = args.stay.map(|stay| Instant::now() + stay);
    let mut reading = true;
    loop {
        let again = terminal.placed_at.map(|at| at + FIX_AGAIN);
        tokio::select! {
            event = terminal.client.next() => {
                if let Some(code) = terminal.event(event) {
                    anyhow::ensure!(code < 4_500, "the server does not want this friend back (close code {code})");
                    return Ok(false);
                }
            }
            line = lines.next_line(), if reading => match line.context("standard input")? {
                Some(line) if line.trim() == "q" => break,
                Some(line) => {
                    if let Err(fault) = terminal.command(line.trim()) {
                        eprintln!("{fault:#}. {COMMANDS}");
                    }
                }
                None => {
                    reading = false;
                    // Answers to what was asked are still shown.
                    end.get_or_insert_with(|| Instant::now() + Duration::from_secs(2));
                }
            },
            () = sleep_until(end) => break,
            () = sleep_until(again) => terminal.be_there(),
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    terminal.client.leave().await;
    Ok(true)
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Terminal {
    /// Keeps up with what happens; the close code when it is over.
    fn event(&mut self, event: FriendEvent) -> Option<u16> {
        match event {
            FriendEvent::Up { .. } => self.be_there(),
            FriendEvent::Unknown(text) => println!("< {text}"),
            FriendEvent::TriedAgain(_) => {}
            FriendEvent::Down { code, cause, retry_in_ms, .. } => {
                let code = code.map_or(String::new(), |code| format!(" {code}"));
                eprintln!("gone{code}: {cause}; next try in {retry_in_ms} ms");
            }
            FriendEvent::Over { code, cause } => {
                eprintln!("sent away {code}: {cause}");
                return Some(code);
            }
            FriendEvent::Message(envelope) => self.heard(envelope.message),
        }
        None
    }

    fn heard(&mut self, message: FriendMessage) {
        match message {
            FriendMessage::Snapshot(snapshot) => {
                self.on_duty = snapshot.duty.on;
                self.offers = snapshot.offers;
                self.jobs = snapshot.visits.into_iter().map(|card| card.job).collect();
                self.be_there();
            }
            FriendMessage::Duty(duty) => self.on_duty = duty.on,
            FriendMessage::Done { key } => {
                if let Some((_, on)) = self.asked.take_if(|(asked, _)| *asked == key) {
                    self.on_duty = on;
                    // A position that was sent before may have been dropped.
                    self.be_there();
                }
            }
            FriendMessage::Offer(offer) => {
                let Offer { title, distance_m, district, net, .. } = &offer;
                eprintln!("offer: {title}, {district}, {distance_m} m, {net} for you. a accepts, n declines");
                self.offers.push(offer);
            }
            FriendMessage::OfferUpdate(update) => {
                if let (Some(renewed), Some(held)) =
                    (update.renewed, self.offers.iter_mut().find(|held| held.offer == update.offer))
                {
                    *held = *renewed;
                }
            }
            FriendMessage::OfferClosed { offer, .. } => self.offers.retain(|held| held.offer != offer),
            FriendMessage::AcceptResult { offer, result, .. } => {
                if matches!(result, Verdict::Won | Verdict::Lost) {
                    self.offers.retain(|held| held.offer != offer);
                }
            }
            FriendMessage::Job(card) => {
                self.jobs.retain(|job| *job != card.job);
                if matches!(card.state, JobState::Assigned | JobState::Contacted) {
                    self.jobs.push_back(card.job);
                }
            }
            _ => {}
        }
    }

    fn be_there(&mut self) {
        if let Some(place) = self.place
            && self.client.fix(place)
        {
            self.placed_at = Some(Instant::now());
        }
    }

    fn command(&mut self, line: &str) -> anyhow::Result<()> {
        let mut words = line.split_whitespace();
        match words.next() {
            None => {}
            Some("d") => self.duty(!self.asked.map_or(self.on_duty, |(_, on)| on)),
            Some("a") => {
                let offer = self.offers.last().context("there is no offer")?;
                self.client.accept(offer.offer, offer.revision);
            }
            Some("n") => {
                let offer = self.offers.pop().context("there is no offer")?;
                self.client.decline(offer.offer, DeclineReason::NoTime);
            }
            Some("c") => self.visit(VisitEvent::Contacted, None)?,
            Some("f") => self.visit(VisitEvent::Completed, None)?,
            Some("h") => self.visit(VisitEvent::HandBack, Some("handed back in the terminal".to_owned()))?,
            Some("p") => {
                let rest: Vec<&str> = words.collect();
                self.place = Some(place(&rest.join(",")).map_err(anyhow::Error::msg)?);
                self.be_there();
            }
            Some(other) => anyhow::bail!("{other:?} is no command"),
        }
        Ok(())
    }

    fn duty(&mut self, on: bool) {
        self.asked = Some((self.client.duty(on), on));
    }

    fn visit(&mut self, event: VisitEvent, reason: Option<String>) -> anyhow::Result<()> {
        let job = *self.jobs.back().context("there is no job")?;
        self.client.visit(job, event, reason);
        Ok(())
    }
}

fn place(text: &str) -> Result<Point, String> {
    let (lat, lng) = text.split_once(',').ok_or("a place is LAT,LNG in degrees, such as 52.5,13.42")?;
    let degrees = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("{text:?} is not a number of degrees"));
    Point::new(degrees(lat)?, degrees(lng)?).map_err(|fault| fault.to_string())
}

fn language(text: &str) -> Result<Language, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| "one of de, en, fr, it, pl".to_owned())
}
