//! The rows of the tables as they go to either engine: the names of the fields are those of the columns, every number is
//! an `i64`, every document its JSON text. SQLite gets them as one JSON parameter, Postgres as an array for each column.

use serde::Serialize;
use uuid::Uuid;

/// A row of `jobs`.
#[derive(Debug, Serialize)]
pub struct JobLine {
    pub id: Uuid,
    pub partner: String,
    pub partner_ref: Option<String>,
    pub community: String,
    pub community_version: i64,
    pub package: String,
    pub package_version: i64,
    pub commission_rule: String,
    pub commission_basis_points: i64,
    pub state: String,
    pub attempt: i64,
    pub revision: i64,
    pub sequence: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub expire_at: i64,
    pub next_deadline: Option<i64>,
    pub price: Option<i64>,
    pub commission: Option<i64>,
    pub currency: Option<&'static str>,
    pub view: String,
    pub progress: String,
}

/// A row of `bookings`.
#[derive(Debug, Serialize)]
pub struct BookingLine {
    pub job: Uuid,
    pub doc: String,
}

/// A row of `runs`.
#[derive(Debug, Serialize)]
pub struct RunLine {
    pub job: Uuid,
    pub attempt: i64,
    pub started_at: i64,
    pub waves: i64,
    pub asked: i64,
    pub ended_at: Option<i64>,
    pub end_state: Option<String>,
}

/// A row of `offers`.
#[derive(Debug, Serialize)]
pub struct OfferLine {
    pub id: Uuid,
    pub job: Uuid,
    pub friend: Uuid,
    pub attempt: i64,
    pub wave: i64,
    pub wave_seat: i64,
    pub seat: i64,
    pub revision: i64,
    pub sent_at: i64,
    pub expires_at: i64,
    pub state: &'static str,
    pub renewed: bool,
    pub distance_m: i64,
    pub gross: i64,
    pub commission: i64,
    pub net: i64,
    pub currency: &'static str,
    pub why: &'static str,
    pub deficit_days: Option<i64>,
    pub rank: i64,
}

/// A row of `visits`.
#[derive(Debug, Serialize)]
pub struct VisitLine {
    pub job: Uuid,
    pub attempt: i64,
    pub friend: Uuid,
    pub offer: Uuid,
    pub place: i64,
    pub gross: i64,
    pub commission: i64,
    pub net: i64,
    pub currency: &'static str,
    pub accept_key: Uuid,
    pub assigned_at: i64,
    pub contact_due: i64,
    pub appointment_from: Option<i64>,
    pub appointment_to: Option<i64>,
    pub active: bool,
    pub ended_at: Option<i64>,
    pub outcome: Option<&'static str>,
    pub cool_until: Option<i64>,
}

/// A row of `events`.
#[derive(Debug, Serialize)]
pub struct EventLine {
    pub job: Uuid,
    pub sequence: i64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub kind: &'static str,
    pub actor: &'static str,
    pub actor_id: Option<String>,
    pub reason: Option<String>,
    pub at: i64,
    pub client_at: Option<i64>,
}

/// A row of `decisions`.
#[derive(Debug, Serialize)]
pub struct DecisionLine {
    pub job: Uuid,
    pub attempt: i64,
    pub wave: i64,
    pub at: i64,
    pub doc: String,
}

/// A row of `partner_keys`.
#[derive(Debug, Serialize)]
pub struct KeyLine {
    pub partner: String,
    pub key: String,
    pub body: String,
    pub job: Uuid,
    pub answer: String,
    pub at: i64,
}

/// A row of `waitlist`: so many more requests.
#[derive(Debug, Serialize)]
pub struct WaitLine {
    pub community: String,
    pub cell: String,
    pub requests: i64,
    pub first_at: i64,
    pub last_at: i64,
}

/// Rows of `outbox`: one for each endpoint of the partner that wants it.
#[derive(Debug, Serialize)]
pub struct OutboxLine {
    pub message: String,
    pub partner: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub job: Uuid,
    pub sequence: i64,
    pub at: i64,
    pub body: String,
}

/// A row of `duties`.
#[derive(Debug, Serialize)]
pub struct DutyLine {
    pub friend: Uuid,
    pub on_duty: bool,
    pub until: Option<i64>,
    pub at: i64,
    pub first_on_at: Option<i64>,
}

/// A row of `questions`.
#[derive(Debug, Serialize)]
pub struct QuestionLine {
    pub job: Uuid,
    pub number: i64,
    pub friend: Option<Uuid>,
    pub offer: Option<Uuid>,
    pub nth: Option<i64>,
    pub key: Option<Uuid>,
    pub text: String,
    pub asked_at: i64,
    pub reply: Option<String>,
    pub replied_at: Option<i64>,
}

/// A row of `proposals`.
#[derive(Debug, Serialize)]
pub struct ProposalLine {
    pub offer: Uuid,
    pub job: Uuid,
    pub friend: Uuid,
    pub revision: i64,
    pub key: Uuid,
    pub windows: String,
    pub proposed_at: i64,
    pub until: i64,
}

/// A row of `messages`.
#[derive(Debug, Serialize)]
pub struct MessageLine {
    pub job: Uuid,
    pub number: i64,
    pub friend: Uuid,
    pub voice: &'static str,
    pub text: String,
    pub key: Option<Uuid>,
    pub at: i64,
}
