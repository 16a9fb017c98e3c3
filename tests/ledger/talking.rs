//! What is said about a job: questions, proposals, messages, and the appointment that may come of them.

use kiez::dispatch::effect::JobRecord;
use kiez::dispatch::job::{OfferState, Pause};
use kiez::dispatch::talk::{Asker, Proposal, Question, Said};
use kiez_protocol::friend::WhyReason;
use kiez_protocol::ids::Key;
use kiez_protocol::partner::Window;
use kiez_protocol::talk::Voice;
use uuid::Uuid;

use crate::cast::*;

fn question(record: &JobRecord, number: u16, nth: u8) -> Question {
    let offer = &record.offers[0];
    let asker = Asker { friend: offer.friend, offer: offer.id, nth, key: Some(Key(Uuid::now_v7())) };
    Question { number, asker: Some(asker), text: "Welche Farbe blinkt?".to_owned(), asked_at: START, reply: None }
}

fn proposal(record: &JobRecord) -> Proposal {
    let offer = &record.offers[1];
    Proposal {
        offer: offer.id,
        friend: offer.friend,
        revision: 1,
        key: Key(Uuid::now_v7()),
        windows: vec![Window { from: START + HOUR, to: START + 2 * HOUR }],
        proposed_at: START,
        until: START + HOUR / 2,
    }
}

fn message(record: &JobRecord, number: u16, key: Option<Key>) -> Said {
    let friend = record.offers[0].friend;
    Said { number, friend, from: Voice::Customer, text: "Klingel ist kaputt".to_owned(), key, at: START }
}

pub async fn what_was_said_comes_back_as_it_was(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let mut first = posted(None);
    first.job.progress.pause = Some(Pause::Vague);
    first.job.progress.vague = 2;
    first.job.progress.hold_until = Some(START + 2 * HOUR);
    first.offers[2].why = WhyReason::Named;
    first.talk.questions = vec![question(&first, 1, 1), question(&first, 2, 2)];
    let by_the_server =
        Question { number: 3, asker: None, text: "question.too_vague".to_owned(), ..question(&first, 3, 1) };
    first.talk.questions.push(by_the_server);
    first.talk.proposals = vec![proposal(&first)];
    first.talk.messages = vec![message(&first, 1, None), message(&first, 2, Some(Key(Uuid::now_v7())))];
    assert!(engineer.write(&first).await);
    // A reply, a proposal anew after an edit, one more message, and a win with an appointment.
    let mut winner = won(&first, 1, 0);
    winner.visits[0].appointment = Some(proposal(&first).windows[0]);
    winner.talk.questions =
        vec![Question { reply: Some(("Rot".to_owned(), START + 1)), ..first.talk.questions[1].clone() }];
    winner.talk.proposals = vec![Proposal { revision: 2, ..proposal(&first) }];
    winner.talk.messages = vec![Said { from: Voice::Friend, ..message(&first, 3, None) }];
    assert!(engineer.write(&winner).await);
    engineer.end().await;

    let again = place.open().await;
    let jobs: Vec<_> = again.stored.jobs.iter().map(|job| format!("{job:?}")).collect();
    assert_eq!(jobs, [stored(&[&first, &winner])]);
    let counts = (place.count("questions").await, place.count("proposals").await, place.count("messages").await);
    assert_eq!(counts, (3, 1, 3));
    end(again).await;
}

pub async fn what_nobody_could_have_said_is_refused(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let key = Some(Key(Uuid::now_v7()));
    let breaks: [fn(&mut JobRecord, Option<Key>); 9] = [
        // Two questions of one friend with one number; a ninth; one without words.
        |record, _| record.talk.questions = vec![question(record, 1, 1), question(record, 2, 1)],
        |record, _| record.talk.questions = vec![question(record, 1, 9)],
        |record, _| record.talk.questions = vec![Question { text: String::new(), ..question(record, 1, 1) }],
        // A proposal that is over before it begins.
        |record, _| record.talk.proposals = vec![Proposal { until: START, ..proposal(record) }],
        // The same message twice, and one number for two.
        |record, key| record.talk.messages = vec![message(record, 1, key), message(record, 2, key)],
        |record, _| record.talk.messages = vec![message(record, 1, None), message(record, 1, None)],
        |record, _| record.talk.messages = vec![Said { text: String::new(), ..message(record, 1, None) }],
        // A reply without words, and an appointment that ends before it begins.
        |record, _| {
            let reply = Some((String::new(), START));
            record.talk.questions = vec![Question { reply, ..question(record, 1, 1) }];
        },
        |record, _| {
            let window = Window { from: START + HOUR, to: START };
            let winner = won(record, 0, 0);
            record.visits = winner.visits;
            record.visits[0].appointment = Some(window);
            assert_eq!(record.offers[0].state, OfferState::Live);
        },
    ];
    for (at, break_it) in breaks.into_iter().enumerate() {
        let mut record = posted(None);
        break_it(&mut record, key);
        assert!(!engineer.write(&record).await, "{at}");
    }
    assert_eq!(place.count("jobs").await, 0);
    engineer.end().await;
}
