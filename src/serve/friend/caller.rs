//! A friend over plain HTTP: the same token as in `hello`, in the header where tokens belong.

use std::sync::Arc;

use axum::http::HeaderMap;
use kiez_protocol::directory::Friend;
use kiez_protocol::refusal::Code;

use super::super::App;
use super::super::problem::Refusal;
use super::INACTIVE;

/// The friend whose token the request carries, if their account may connect.
///
/// # Errors
/// [`Code::Unauthorized`] or [`Code::Forbidden`].
pub fn caller(app: &App, headers: &HeaderMap) -> Result<Arc<Friend>, Refusal> {
    let claim = app.auth.friend_request(headers)?;
    let friend = app.live.directory.friend_by_subject(&claim.subject);
    let profile = friend.and_then(|friend| app.live.directory.friend(friend));
    let profile = profile.ok_or_else(|| Refusal::new(Code::Unauthorized, "the token is not valid"))?;
    if !profile.account.may_connect() {
        return Err(Refusal::new(Code::Forbidden, INACTIVE.reason));
    }
    Ok(profile)
}
