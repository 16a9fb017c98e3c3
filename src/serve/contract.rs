//! The contract, for machines: the HTTP API as OpenAPI, the sockets as AsyncAPI. Both are made of the types in `protocol/`
//! and committed there; a test holds them to the types, another holds the routes of this server to them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::routing::get;

use super::App;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/openapi.json", get(async || document(kiez_protocol::OPENAPI)))
        .route("/asyncapi.json", get(async || document(kiez_protocol::ASYNCAPI)))
}

fn document(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
