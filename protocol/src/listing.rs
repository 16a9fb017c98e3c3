//! Friends who chose to be listed, as a partner's page may show them: a card and a band of distance, never a position.

use serde::{Deserialize, Serialize};

use crate::directory::{Language, Tier};
use crate::ids::{FriendId, Word};
use crate::money::Money;
use crate::partner::DistanceBand;

/// What is shown of a friend: of one who is listed to partners, of the one who comes to their customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ProfileCard {
    /// First name and initial in the listing, `Alex M.`; the full name for the customer of a job that they hold.
    pub name: String,
    /// Neighbour or professional.
    pub tier: Tier,
    /// What they speak; empty: any language of kiez.
    pub languages: Vec<Language>,
    /// The skills they like best.
    pub focus: Vec<Word>,
    /// Who they are, in their words; in the listing without contact data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Their rate an hour, where packages are priced by the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly_rate: Option<Money>,
    /// Where their photo is, if there is one, a path of this server: in the listing one that wants the partner's key, for the
    /// customer one with the token of their link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<String>,
}

/// A photo that was taken in, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct PhotoView {
    /// `image/jpeg`, `image/png` or `image/webp`.
    pub media: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Its size without what the camera wrote beside the picture.
    pub bytes: u32,
}

/// A friend in the listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ListedFriend {
    /// The id: as `friend` of a post it makes the job a direct one.
    pub id: FriendId,
    /// Who they are.
    pub card: ProfileCard,
    /// How far `near` is from their home, both taken as the middle of a neighbourhood of about 36 km²: a band. Absent without
    /// `near`, and of friends who have not said where they live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<DistanceBand>,
}

/// `GET /v1/friends`: a page, nearest bands first. Within a band the order says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Listing {
    /// The friends.
    pub friends: Vec<ListedFriend>,
    /// More: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
