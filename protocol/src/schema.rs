//! JSON Schema (draft 2020-12) of every message, from the same types that read and write it. Documents are made of it,
//! and the tests hold the examples to it; a server at work does not need it.

use schemars::{JsonSchema, Schema, schema_for};

use crate::directory::{Community, Friend, ImportLine, ImportReport, Package, Partner, TokenRequest, TokenView};
use crate::friend::{Envelope, FriendFrame};
use crate::ops::{OpsFrame, OpsMessage};
use crate::partner::{CancelJob, EditJob, JobList, JobView, PackageList, PostJob};
use crate::refusal::Problem;

/// A message's name and its schema.
pub type Named = (&'static str, Schema);

/// Every message of the wire, once. The examples of `name` are `examples/name.json` and `examples/name.*.json`. A
/// `friend_message` is described as it travels: in its [`Envelope`].
pub fn all() -> Vec<Named> {
    vec![
        of::<FriendFrame>("friend_frame"),
        of::<Envelope>("friend_message"),
        of::<OpsFrame>("ops_frame"),
        of::<OpsMessage>("ops_message"),
        of::<PostJob>("post_job"),
        of::<EditJob>("edit_job"),
        of::<CancelJob>("cancel_job"),
        of::<JobView>("job_view"),
        of::<JobList>("job_list"),
        of::<PackageList>("package_list"),
        of::<Problem>("problem"),
        of::<Community>("community"),
        of::<Package>("package"),
        of::<Friend>("friend"),
        of::<Partner>("partner"),
        of::<ImportLine>("import_line"),
        of::<ImportReport>("import_report"),
        of::<TokenRequest>("token_request"),
        of::<TokenView>("token_view"),
    ]
}

fn of<T: JsonSchema>(name: &'static str) -> Named {
    (name, schema_for!(T))
}
