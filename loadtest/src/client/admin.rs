//! An admin's side of the wire: the directory in, tokens out. It carries an ops token of role `admin` or, against a
//! development server, the development key.

use std::time::Duration;

use http::Method;
use kiez_protocol::directory::{
    Community, Friend, ImportLine, ImportReport, OpsRole, Package, Partner, TokenRequest, TokenView,
};
use kiez_protocol::ids::{FriendId, PartnerSlug};
use serde::Serialize;
use serde::de::IgnoredAny;

use super::http::{CallError, Http};
use super::partner::patiently;

/// Calls are repeated for so long while the server is away, ms. All of them may be repeated.
const PATIENCE_MS: u64 = 15_000;
/// Lines of one import request. Well inside the 64 MiB that the route takes.
const IMPORT_LINES_MAX: usize = 5_000;

/// An admin of one server.
#[derive(Clone, Debug)]
pub struct AdminClient {
    http: Http,
}

impl AdminClient {
    /// An admin with the key that `http` carries.
    pub fn new(http: Http) -> AdminClient {
        AdminClient { http }
    }

    /// The connections and key it uses.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Creates or replaces a community.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn put_community(&self, community: &Community) -> Result<(), CallError> {
        self.put(&format!("/v1/admin/communities/{}", community.slug), community).await
    }

    /// Creates or replaces a package.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn put_package(&self, package: &Package) -> Result<(), CallError> {
        self.put(&format!("/v1/admin/packages/{}", package.slug), package).await
    }

    /// Creates or replaces a partner.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn put_partner(&self, partner: &Partner) -> Result<(), CallError> {
        self.put(&format!("/v1/admin/partners/{}", partner.slug), partner).await
    }

    /// Creates or replaces a friend.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn put_friend(&self, friend: &Friend) -> Result<(), CallError> {
        self.put(&format!("/v1/admin/friends/{}", friend.id), friend).await
    }

    /// Imports documents as NDJSON; each request is taken in whole or not at all. Communities and packages come before
    /// what names them, as in `documents`.
    ///
    /// # Errors
    /// See [`CallError`]; the documents of earlier requests stay.
    pub async fn import(&self, documents: &[ImportLine]) -> Result<ImportReport, CallError> {
        let mut total = ImportReport::default();
        for part in documents.chunks(IMPORT_LINES_MAX) {
            let mut lines = Vec::new();
            for document in part {
                serde_json::to_writer(&mut lines, document).expect("documents have string keys and finite numbers");
                lines.push(b'\n');
            }
            let lines = bytes::Bytes::from(lines);
            let report: ImportReport = patiently(Duration::from_millis(PATIENCE_MS), || {
                self.http.send(Method::POST, "/v1/admin/import", None, "application/x-ndjson", lines.clone())
            })
            .await?;
            for (kind, count) in report.imported {
                *total.imported.entry(kind).or_default() += count;
            }
        }
        Ok(total)
    }

    /// A friend's token, valid for `minutes` or the server's default.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn friend_token(&self, friend: FriendId, minutes: Option<u32>) -> Result<TokenView, CallError> {
        self.token(&TokenRequest::Friend { friend, minutes }).await
    }

    /// A token for the ops map and API.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ops_token(&self, role: OpsRole, minutes: Option<u32>) -> Result<TokenView, CallError> {
        self.token(&TokenRequest::Ops { role, name: None, minutes }).await
    }

    /// A partner's API key.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn partner_key(&self, partner: &PartnerSlug) -> Result<TokenView, CallError> {
        self.token(&TokenRequest::Partner { partner: partner.clone() }).await
    }

    async fn token(&self, request: &TokenRequest) -> Result<TokenView, CallError> {
        patiently(Duration::from_millis(PATIENCE_MS), || {
            self.http.call(Method::POST, "/v1/admin/tokens", None, Some(request))
        })
        .await
    }

    async fn put(&self, path: &str, document: &(impl Serialize + Sync)) -> Result<(), CallError> {
        let done: Result<IgnoredAny, CallError> =
            patiently(Duration::from_millis(PATIENCE_MS), || self.http.call(Method::PUT, path, None, Some(document)))
                .await;
        done.map(|_| ())
    }
}
