//! Where a community's jobs are, and its brake.

use h3o::Resolution;
use kiez::dispatch::effect::WaitRow;
use kiez::dispatch::input::Input;
use kiez::dispatch::job::cell_at;
use kiez_protocol::directory::Site;
use kiez_protocol::ids::FriendId;
use kiez_protocol::partner::{EditJob, JobState};
use kiez_protocol::place::{Area, Cell, Point};
use kiez_protocol::refusal::Code;

use super::town::{DOOR, HOUR, MINUTE, Town, north};

/// The cells of a resolution round the door.
fn round_the_door(resolution: Resolution) -> Area {
    let home = cell_at(Point::new(DOOR.0, DOOR.1).expect("on the earth"), resolution);
    Area::Cells { cells: home.grid_disk::<Vec<_>>(1).into_iter().map(|cell| Cell(cell.into())).collect() }
}

impl Town {
    pub fn brake(&mut self, on: bool) {
        let community = self.community.slug.clone();
        self.send(Input::Brake { community, on });
    }
}

#[test]
fn a_job_outside_of_the_area_is_refused_and_noted_on_the_waitlist() {
    let mut town = Town::new();
    town.community.area = Some(round_the_door(Resolution::Eight));
    let anna = town.friend(100);
    let inside = town.post();
    assert_eq!(town.asked(inside), [anna]);
    town.held = true;
    let mut booking = town.booking();
    booking.place = north(5_000);
    let request = town.post_keyed(booking, Some(("K1", 1)));
    assert_eq!(town.answers.get(&request), None, "told means recorded");
    town.release();
    assert_eq!(town.refused(request), Some(Code::OutsideArea));
    let cell = Cell(cell_at(north(5_000), Resolution::Seven).into());
    assert_eq!(town.ledger.waitlist, [WaitRow { community: town.community.slug.clone(), cell, at: town.now }]);
    assert_eq!(town.ledger.jobs.len(), 1, "no job was made of it");
    // The area grows, and the same key makes the job.
    town.community.area = Some(round_the_door(Resolution::Five));
    let mut booking = town.booking();
    booking.place = north(5_000);
    let request = town.post_keyed(booking, Some(("K1", 1)));
    assert_eq!((town.refused(request), town.ledger.jobs.len()), (None, 2));
}

#[test]
fn an_edit_does_not_move_a_job_out_of_the_area() {
    let mut town = Town::new();
    town.community.area = Some(round_the_door(Resolution::Eight));
    let anna = town.friend(100);
    let job = town.post();
    let to = |metres| EditJob { location: Some(north(metres)), ..EditJob::default() };
    let refused = town.edit(job, to(5_000));
    assert_eq!(town.refused(refused), Some(Code::OutsideArea));
    assert_eq!((town.job(job).revision, town.ledger.waitlist.len()), (1, 0));
    let taken = town.edit(job, to(200));
    assert_eq!((town.refused(taken), town.job(job).revision), (None, 2));
    assert_eq!(town.asked(job), [anna]);
}

#[test]
fn remote_work_has_no_place_that_could_be_outside() {
    let mut town = Town::new();
    town.community.area = Some(round_the_door(Resolution::Eight));
    town.package.site = Site::Remote;
    let job = town.post_with(|booking| booking.place = north(50_000));
    assert_eq!(town.state(job), JobState::Dispatching);
}

#[test]
fn under_the_brake_nobody_new_is_asked_and_what_is_out_can_be_accepted() {
    let mut town = Town::new();
    town.community.policy.fairness_seat = false;
    let friends: [FriendId; 6] = town.friends([100, 200, 300, 400, 500, 600]);
    let out = town.post();
    town.brake(true);
    town.decline(friends[0], out);
    assert_eq!(town.asked(out), friends[1..4], "the seat stays empty");
    town.wait(10 * MINUTE);
    assert_eq!(town.asked(out), friends[1..4], "and no wave opens");
    let posted = town.post();
    town.duty(friends[5], false);
    town.duty(friends[5], true);
    assert_eq!((town.asked(posted), town.state(posted)), (vec![], JobState::Dispatching));
    let key = town.accept(friends[2], out);
    assert!(town.won(key));
    town.brake(false);
    assert_eq!(town.asked(posted), [friends[0], friends[1], friends[2], friends[3]], "at once");
}

#[test]
fn the_brake_holds_back_one_community_and_renews_nothing_that_is_over() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.wait(20 * MINUTE);
    town.brake(true);
    town.wait(10 * MINUTE);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Unfilled, vec![]), "their offers had expired");
    town.wait(HOUR);
    assert_eq!(town.asked(job), []);
    town.community.slug = "zuerich-tech".parse().expect("a slug");
    let other = town.friend_with(300, |friend| friend.communities = vec!["zuerich-tech".parse().expect("a slug")]);
    let elsewhere = town.post();
    assert_eq!(town.asked(elsewhere), [other]);
    assert!(town.hears(anna).count() > 0 && town.hears(ben).count() > 0);
}

#[test]
fn after_a_restart_the_brake_is_set_before_anything_is_asked() {
    let mut town = Town::new();
    let job = town.post();
    town.brake(true);
    town.crash();
    town.brake(true);
    let anna = town.friend(100);
    town.send(Input::Placed { friend: anna });
    town.wait(HOUR);
    assert_eq!(town.asked(job), []);
    town.brake(false);
    assert_eq!(town.asked(job), [anna]);
}
