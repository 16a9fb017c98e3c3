//! A post that is only tried: it says whom it would find, and leaves no trace.

use std::sync::Arc;

use kiez::dispatch::effect::Answer;
use kiez::dispatch::input::Input;
use kiez::dispatch::job::Booking;
use kiez::dispatch::trial::Trial;
use kiez_protocol::place::{Area, Cell};

use super::town::{Town, ada};

impl Town {
    fn tries(&mut self, with: impl FnOnce(&mut Booking)) -> Trial {
        let mut booking = self.booking();
        with(&mut booking);
        let (request, received_at) = (self.request(), self.now);
        let (booking, terms) = (Arc::new(booking), self.terms());
        let before = (self.ledger.jobs.len(), self.heard.len(), self.core.jobs_len(), self.ledger.waitlist.len());
        self.send(Input::Tried { request, partner: ada(), booking, terms, received_at });
        let after = (self.ledger.jobs.len(), self.heard.len(), self.core.jobs_len(), self.ledger.waitlist.len());
        assert_eq!(before, after, "no record, no offer, no wish on the waitlist");
        match self.answers.get(&request) {
            Some(Answer::Tried(trial)) => (**trial).clone(),
            other => panic!("tried, and heard {other:?}"),
        }
    }
}

#[test]
fn a_trial_finds_whom_the_post_asks() {
    let mut town = Town::new();
    assert_eq!(town.tries(|_| {}).found_m, Vec::<u32>::new());
    town.friends([100, 900, 5_000]);
    town.friend_with(50, |friend| friend.communities.clear());
    let trial = town.tries(|_| {});
    assert_eq!((trial.wanted, trial.found_m), (4, vec![100, 900, 5_000]), "the suitable, over all caps");
    assert_eq!(
        (trial.price.map(|price| price.amount), trial.commission.map(|cut| cut.amount)),
        (Some(4_900), Some(490))
    );
    assert!(!trial.outside_area && !trial.braked && trial.missing.is_empty());
    let job = town.post();
    let asked: Vec<u32> = town.job(job).live_offers().map(|offer| offer.distance_m).collect();
    assert_eq!(asked, [100, 900, 5_000]);
    let again = town.tries(|_| {});
    assert_eq!(again.found_m.len(), 3, "who holds an offer of another job can hold one more");
}

#[test]
fn a_trial_names_what_is_missing_and_where_nobody_is_asked() {
    let mut town = Town::new();
    town.friend(100);
    let vague = town.tries(|booking| booking.answers.clear());
    assert_eq!((vague.missing.len(), vague.found_m.len()), (1, 1));
    town.brake(true);
    assert!(town.tries(|_| {}).braked);
    town.brake(false);
    // One cell of the North Sea.
    town.community.area = Some(Area::Cells { cells: vec![Cell(0x0871_9401_93ff_ffff)] });
    let outside = town.tries(|_| {});
    assert!(outside.outside_area && outside.found_m.is_empty());
}
