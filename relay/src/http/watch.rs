//! What is done around every request: counted, timed, and ended when it takes too long.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;
use crate::metrics::{REQUEST_SECONDS, REQUESTS};

/// How long a request may take, body and answer: longer than another relay may take to answer this one.
const DEADLINE: Duration = Duration::from_secs(60);

/// Counts a request and its time by route, never by path: paths hold names.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let begun = Instant::now();
    let response = next.run(request).await;
    metrics::histogram!(REQUEST_SECONDS, "route" => route.clone()).record(begun.elapsed().as_secs_f64());
    metrics::counter!(REQUESTS, "route" => route, "status" => response.status().as_u16().to_string())
        .increment(1);
    response
}

/// Ends a request that takes too long.
pub(super) async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timed_out().into_response(),
    }
}
