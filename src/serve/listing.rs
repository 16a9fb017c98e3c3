//! The listing for partners: friends who chose to be found, as cards with a band of distance. What the distance is measured
//! between, and why nobody learns where a friend is, stands in `live::listed`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::{CommunitySlug, FriendId, Word};
use kiez_protocol::listing::{ListedFriend, Listing, ProfileCard};
use kiez_protocol::partner::DistanceBand;
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;

use super::App;
use super::partner::{Caller, community};
use super::problem::{Answered, Refusal, answer};
use super::query::Query;
use crate::dispatch::contact;
use crate::live::listed::{Listed, Neighbourhood};

/// Where the bands of distance end, metres: the caps of the trade beyond the first.
const BANDS_M: [u32; 3] = [8_000, 15_000, 30_000];
/// The band of those of whom no distance is known: after all others.
const UNKNOWN: usize = BANDS_M.len() + 1;
const PLACE_CHARS_MAX: usize = 64;

/// The route.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/friends", get(list))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let mut query = Query::of(query.as_deref(), &["community", "near", "skill", "limit", "after"])?;
    let named: Option<CommunitySlug> = query.value("community")?;
    let near = query.text("near", PLACE_CHARS_MAX)?.map(|near| point(&near)).transpose()?.map(Neighbourhood::of);
    let skill: Option<Word> = query.value("skill")?;
    let (limit, after) = (query.limit()? as usize, query.take("after").map(|after| Turn::read(&after)).transpose()?);
    let (community, _) = community(&app, &caller.partner, named)?;
    let fits = |friend: &Friend| {
        friend.communities.contains(&community.slug) && skill.as_ref().is_none_or(|skill| friend.level(skill) > 0)
    };
    let listed = app.live.directory.listing().that(fits);
    let mut listed: Vec<(Turn, Listed)> = listed.into_iter().map(|listed| (Turn::of(&listed, near), listed)).collect();
    listed.retain(|(turn, _)| after.is_none_or(|after| *turn > after));
    listed.sort_unstable_by_key(|(turn, _)| *turn);
    let after = listed.get(limit).and(listed.get(limit - 1)).map(|(last, _)| last.written());
    listed.truncate(limit);
    let has_photo = |friend| app.live.directory.has_photo(friend);
    let friends = listed.into_iter().map(|(turn, Listed { profile, .. })| ListedFriend {
        id: profile.id,
        card: ProfileCard {
            name: first_name(&profile.name),
            description: profile.description.as_ref().map(|text| contact::for_a_listing(text, &profile.name)),
            photo: has_photo(profile.id).then(|| format!("/v1/friends/{}/photo", profile.id)),
            ..card(&profile)
        },
        distance: turn.band(),
    });
    Ok(answer(StatusCode::OK, &Listing { friends: friends.collect(), after }))
}

/// A friend's card, with their full name and their own words, without a photo.
pub(super) fn card(friend: &Friend) -> ProfileCard {
    ProfileCard {
        name: friend.name.clone(),
        tier: friend.tier,
        languages: friend.languages.clone(),
        focus: friend.focus.clone(),
        description: friend.description.clone(),
        hourly_rate: friend.hourly_rate,
        photo: None,
    }
}

/// Where somebody stands in the listing: by band alone, for an order within it would be a finer band. Those of one band
/// come by the half of their id that chance has made, so that nobody is first for having joined first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    band: usize,
    shuffled: u128,
}

impl Turn {
    fn of(listed: &Listed, near: Option<Neighbourhood>) -> Turn {
        let distance_m = listed.home.zip(near).map(|(home, near)| home.distance_m(near));
        let band = |distance_m| BANDS_M.partition_point(|end| f64::from(*end) <= distance_m);
        Turn { band: distance_m.map_or(UNKNOWN, band), shuffled: listed.profile.id.0.as_u128().rotate_left(64) }
    }

    fn band(self) -> Option<DistanceBand> {
        let from_m = self.band.checked_sub(1).map_or(0, |before| BANDS_M.get(before).copied().unwrap_or(0));
        (self.band < UNKNOWN).then(|| DistanceBand { from_m, to_m: BANDS_M.get(self.band).copied() })
    }

    /// As the `after` of a page has it.
    fn written(self) -> String {
        format!("{}.{}", self.band, uuid::Uuid::from_u128(self.shuffled.rotate_right(64)))
    }

    fn read(after: &str) -> Result<Turn, Refusal> {
        let parts = after.split_once('.').and_then(|(band, id)| Some((band.parse().ok()?, id.parse().ok()?)));
        let turn = |(band, FriendId(id))| Turn { band, shuffled: id.as_u128().rotate_left(64) };
        let unfit = || Refusal::param(Code::Invalid, "after", "takes the `after` of the page before, as it is");
        parts.map(turn).ok_or_else(unfit)
    }
}

/// "Alex Muster" is Alex M.
fn first_name(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().unwrap_or_default();
    match words.next_back().and_then(|last| last.chars().next()) {
        Some(initial) => format!("{first} {initial}."),
        None => first.to_owned(),
    }
}

/// `52.52,13.40`.
fn point(text: &str) -> Result<Point, Refusal> {
    let degrees =
        text.split_once(',').and_then(|(lat, lng)| Some((lat.trim().parse().ok()?, lng.trim().parse().ok()?)));
    let point = degrees.and_then(|(lat, lng)| Point::new(lat, lng).ok());
    point.ok_or_else(|| Refusal::param(Code::Invalid, "near", "takes latitude and longitude in degrees: 52.52,13.40"))
}

#[cfg(test)]
mod tests {
    use kiez_protocol::directory::Country;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_name_is_shown_by_its_first_and_an_initial() {
        let names = ["Alex Muster", "Anna Maria von Berg", "Kim", "  Öznur  Ümit ", "李 明"];
        assert_eq!(names.map(first_name), ["Alex M.", "Anna B.", "Kim", "Öznur Ü.", "李 明."]);
    }

    #[test]
    fn a_point_is_read_as_it_is_written() {
        assert_eq!(point("52.52, 13.40").expect("a point"), Point::new(52.52, 13.40).expect("on earth"));
        for unfit in ["", "52.52", "52.52;13.4", "91,0", "NaN,0", "inf,0", "52.52,13.4,1"] {
            assert!(point(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_turn_is_read_as_it_is_written_and_its_band_is_told() {
        let id = "019cadd3-6bc0-7792-8537-ca2c28084ff5".parse::<Uuid>().expect("an id");
        let listed = |home| Listed { profile: Arc::new(Friend::new(FriendId(id), "Kim", Country::De)), home };
        let here = Neighbourhood::of(Point::new(52.52, 13.40).expect("on earth"));
        let far = Neighbourhood::of(Point::new(52.75, 13.40).expect("on earth"));
        for (turn, written, band) in [
            (Turn::of(&listed(Some(here)), Some(here)), "0.", Some((0, Some(8_000)))),
            (Turn::of(&listed(Some(far)), Some(here)), "2.", Some((15_000, Some(30_000)))),
            (Turn { band: 3, shuffled: 1 }, "3.", Some((30_000, None))),
            (Turn::of(&listed(None), Some(here)), "4.", None),
            (Turn::of(&listed(Some(here)), None), "4.", None),
        ] {
            assert!(turn.written().starts_with(written), "{turn:?}");
            assert_eq!(Turn::read(&turn.written()).expect("as it was"), turn);
            assert_eq!(turn.band().map(|band| (band.from_m, band.to_m)), band);
        }
        assert_eq!(Turn::of(&listed(None), None).written(), format!("4.{id}"));
        for unfit in ["x", "1", "1.x", "-1.019cadd3-6bc0-7792-8537-ca2c28084ff5"] {
            assert!(Turn::read(unfit).is_err(), "{unfit}");
        }
    }
}
