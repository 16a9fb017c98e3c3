//! The customer's page: one job in plain words, in the customer's language. `/customer` is an empty page that knows nobody;
//! its link carries the token in the fragment, which no browser sends, and the few lines of its script ask for the rest at
//! `/v1/customer/{token}`. What comes is written here, escaped, with labels, and works with a keyboard and a reader.
//!
//! A form's `data-do` is the last part of the path it posts to, its fields' names are the paths in the body: the script
//! knows no deed by name.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::routing::get;
use kiez_protocol::customer::{CustomerPage, CustomerQuestion};
use kiez_protocol::directory::{AnswerKind, Language};
use kiez_protocol::partner::Answer;
use kiez_protocol::talk::{JobMessage, MESSAGE_CHARS_MAX, REPLY_CHARS_MAX, Voice};
use maud::{DOCTYPE, Markup, html};

use super::App;
use crate::words::{self, Days, phrases, sum};

/// The page loads nothing from elsewhere, talks to this server only, and runs no script that is not a file of ours.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("customer_page.css");
const SCRIPT: &str = include_str!("customer_page.js");
/// Characters of an answer in text, at most.
const ANSWER_CHARS_MAX: usize = 500;
const REASON_CHARS_MAX: usize = 300;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/customer", get(shell))
        .route("/customer/page.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/customer/page.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
}

fn file(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The page before it knows whose it is: in the language that the browser asks for.
async fn shell(headers: HeaderMap) -> Response<Body> {
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|asked| asked.to_str().ok());
    let language = asked.and_then(words::accepted).unwrap_or(Language::En);
    let page = html! {
        (DOCTYPE)
        html lang=(language.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { "kiez" }
                link rel="stylesheet" href="/customer/page.css";
                script src="/customer/page.js" defer {}
            }
            body data-no-link=(phrases::page_no_link().say(language)) data-offline=(phrases::page_offline().say(language)) {
                p #notice role="status" aria-live="polite" { (phrases::page_loading().say(language)) }
                main #page {}
                noscript { p { (phrases::page_no_script().say(language)) } }
            }
        }
    };
    let mut response = file("text/html; charset=utf-8", "");
    *response.body_mut() = Body::from(page.into_string());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
    response
}

/// Whether a caller wants the page as HTML: a browser's script says so, programs take JSON.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.split(',').any(|kind| kind.trim().starts_with("text/html")))
}

/// The answer in HTML.
pub(super) fn answered(customer: &CustomerPage, messages: &[JobMessage], days: &Days) -> Response<Body> {
    let mut response = Response::new(Body::from(written(customer, messages, days).into_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn written(customer: &CustomerPage, messages: &[JobMessage], days: &Days) -> Markup {
    let language = days.language;
    let brand = customer.community.brand.as_str();
    let may = |deed: &str| customer.allowed.iter().any(|allowed| allowed == deed);
    let missing = customer.questions.iter().filter(|question| question.required && question.answer.is_none()).count();
    html! {
        article lang=(language.as_str()) data-title=(phrases::page_heading(brand).say(language))
            data-saved=(phrases::page_saved().say(language)) {
            h1 { (phrases::page_heading(brand).say(language)) }
            p .state data-state=(customer.state.as_str()) {
                (words::state(customer.state, language))
                @if missing > 0 && may("answers") { " " (phrases::page_questions_open(missing).say(language)) }
            }
            (facts(customer, days))
            @if may("answers") { (questions(customer, language)) (asked(customer, language)) }
            @if may("confirm") { (proposals(customer, days)) }
            @if may("messages") || !messages.is_empty() { (talk(customer, messages, days, may("messages"))) }
            @if may("cancel") { (cancel(language)) }
        }
    }
}

fn facts(customer: &CustomerPage, days: &Days) -> Markup {
    let language = days.language;
    let brand = customer.community.brand.as_str();
    html! {
        dl {
            dt { (phrases::page_what().say(language)) }
            dd { (customer.title) }
            dt { (phrases::page_price().say(language)) }
            dd {
                @match customer.price {
                    Some(price) => (sum(price, language)),
                    None => (phrases::page_price_by_rate().say(language)),
                }
            }
            @if let Some(appointment) = customer.appointment {
                dt { (phrases::page_appointment().say(language)) }
                dd { strong { (days.span(appointment)) } }
            } @else if !customer.windows.is_empty() {
                dt { (phrases::page_windows().say(language)) }
                @for window in &customer.windows { dd { (days.span(*window)) } }
            }
            @if let Some(friend) = &customer.friend {
                dt { (phrases::page_friend().say(language)) }
                dd { strong { (friend) } }
            }
        }
        p .small {
            @match &customer.friend {
                Some(friend) => (phrases::page_contract(friend.as_str(), brand).say(language)),
                None => (phrases::page_contract_open(brand).say(language)),
            }
            br;
            (phrases::page_booked(days.moment(customer.created_at)).say(language))
            @if customer.friend.is_none() && !customer.allowed.is_empty() {
                br;
                (phrases::page_until(days.moment(customer.expires_at)).say(language))
            }
        }
    }
}

/// The package's questions, with the answers so far.
fn questions(customer: &CustomerPage, language: Language) -> Markup {
    html! {
        @if !customer.questions.is_empty() {
            section aria-labelledby="questions" {
                h2 #questions { (phrases::page_questions().say(language)) }
                form data-do="answers" {
                    @for question in &customer.questions { (field(question, language)) }
                    button { (phrases::page_send().say(language)) }
                }
            }
        }
    }
}

fn field(question: &CustomerQuestion, language: Language) -> Markup {
    let name = format!("answers.{}", question.name);
    let id = format!("answer-{}", question.name);
    let given = |answer: &str| question.answer.as_ref().is_some_and(|given| plain(given) == answer);
    let now = question.answer.as_ref().map(plain).unwrap_or_default();
    let label = html! {
        (question.text)
        @if question.required && question.answer.is_none() {
            " " span .required { "(" (phrases::page_required().say(language)) ")" }
        }
    };
    match &question.kind {
        AnswerKind::Text {} => html! {
            label for=(id) { (label) }
            textarea #(id) name=(name) rows="2" maxlength=(ANSWER_CHARS_MAX) { (now) }
        },
        AnswerKind::Number { min, max } => html! {
            label for=(id) { (label) }
            input #(id) name=(name) type="number" data-kind="number" min=(min) max=(max) step="1" value=(now);
        },
        AnswerKind::YesNo {} => html! {
            fieldset {
                legend { (label) }
                @for (value, word) in [("true", phrases::page_yes()), ("false", phrases::page_no())] {
                    label .choice {
                        input type="radio" data-kind="yes_no" name=(name) value=(value) checked[given(value)];
                        (word.say(language))
                    }
                }
            }
        },
        AnswerKind::Choice { options } => html! {
            fieldset {
                legend { (label) }
                @for option in options {
                    label .choice {
                        input type="radio" name=(name) value=(option) checked[given(option)];
                        (option)
                    }
                }
            }
        },
    }
}

fn plain(answer: &Answer) -> String {
    match answer {
        Answer::YesNo(yes) => yes.to_string(),
        Answer::Number(number) => number.to_string(),
        Answer::Text(text) => text.clone(),
    }
}

/// What friends ask, and the server.
fn asked(customer: &CustomerPage, language: Language) -> Markup {
    let open: Vec<_> = customer.asked.iter().filter(|asked| asked.reply.is_none()).collect();
    html! {
        @if !open.is_empty() {
            section aria-labelledby="asked" {
                h2 #asked { (phrases::page_asked().say(language)) }
                @for asked in open {
                    form data-do="answers" {
                        @let id = format!("reply-{}", asked.number);
                        label for=(id) {
                            (words::by_key(&asked.question, language).unwrap_or_else(|| asked.question.clone()))
                        }
                        input type="hidden" data-kind="number" name="replies.0.question" value=(asked.number);
                        textarea #(id) name="replies.0.text" rows="2" required maxlength=(REPLY_CHARS_MAX)
                            aria-label=(phrases::page_reply().say(language)) {}
                        button { (phrases::page_send().say(language)) }
                    }
                }
                p .small { (phrases::page_filtered().say(language)) }
            }
        }
    }
}

fn proposals(customer: &CustomerPage, days: &Days) -> Markup {
    let language = days.language;
    html! {
        @if !customer.proposals.is_empty() {
            section aria-labelledby="proposals" {
                h2 #proposals { (phrases::page_proposals().say(language)) }
                @for proposal in &customer.proposals {
                    p { (phrases::page_proposals_text().say(language)) }
                    @for (number, window) in proposal.windows.iter().enumerate() {
                        form data-do={ "proposals/" (proposal.id) "/confirm" } .line {
                            span { (days.span(*window)) }
                            input type="hidden" data-kind="number" name="window" value=(number);
                            button { (phrases::page_take().say(language)) }
                        }
                    }
                    p .small { (phrases::page_take_until(days.moment(proposal.until)).say(language)) }
                }
            }
        }
    }
}

fn talk(customer: &CustomerPage, messages: &[JobMessage], days: &Days, open: bool) -> Markup {
    let language = days.language;
    let friend = customer.friend.as_deref().unwrap_or("Friend");
    html! {
        section aria-labelledby="messages" {
            h2 #messages { (phrases::page_messages().say(language)) }
            @if !messages.is_empty() {
                ol .talk {
                    @for message in messages {
                        @let (class, from) = match message.from {
                            Voice::Customer => ("mine", phrases::page_from_you()),
                            Voice::Friend => ("theirs", phrases::page_from_friend(friend)),
                        };
                        li class=(class) {
                            p .small { (from.say(language)) " · " (days.moment(message.at)) }
                            p { (message.text) }
                        }
                    }
                }
            }
            @if open {
                form data-do="messages" {
                    label for="message" { (phrases::page_message().say(language)) }
                    textarea #message name="text" rows="2" required maxlength=(MESSAGE_CHARS_MAX) {}
                    button { (phrases::page_send().say(language)) }
                }
                @if customer.friend.is_none() { p .small { (phrases::page_filtered().say(language)) } }
            }
        }
    }
}

/// Calling it off takes two steps, so that nobody does it by a slip.
fn cancel(language: Language) -> Markup {
    html! {
        details {
            summary { (phrases::page_cancel().say(language)) }
            form data-do="cancel" {
                label for="reason" { (phrases::page_cancel_reason().say(language)) }
                input #reason name="reason" maxlength=(REASON_CHARS_MAX);
                button .grave { (phrases::page_cancel_now().say(language)) }
            }
        }
    }
}
