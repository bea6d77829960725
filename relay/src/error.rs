//! What a request is refused with, and the one place that says which HTTP status that is.

use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use posthouse_federation::PeerError;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, ErrorBody};
use posthouse_spec::room::Decided;

/// What a client is told of a failure inside the relay; the log has the rest.
const INTERNAL: &str =
    "the relay failed inside and nothing was changed; try again, and tell its operator if it stays";

/// Why a request is refused.
#[derive(Debug)]
pub struct ApiError {
    reason: Refusal,
    detail: String,
    decided: Option<Box<Decided>>,
    status: Option<StatusCode>,
    retry_after_ms: Option<u64>,
}

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A refusal with what was tried, why it failed, and what to do.
    pub fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), decided: None, status: None, retry_after_ms: None }
    }

    /// A request that breaks a rule of the form.
    pub fn malformed(what: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Refusal::Malformed, format!("{what} is not well formed: {why}"))
    }

    /// A failure inside, which goes to the log and not to the client.
    pub fn internal(doing: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "{doing} failed");
        Self::new(Refusal::Internal, INTERNAL)
    }

    /// Too many requests of a kind.
    pub fn rate_limited(what: &str, retry_after_ms: u64) -> Self {
        let seconds = retry_after_ms.div_ceil(1000);
        let detail = format!("too many {what} from here; try again in {seconds} s");
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(Refusal::RateLimited, detail) }
    }

    /// The path exists, but not with this method.
    pub fn method_not_allowed() -> Self {
        let detail = "this path does not take that method; see /openapi.json for the ones it takes";
        Self { status: Some(StatusCode::METHOD_NOT_ALLOWED), ..Self::new(Refusal::NotFound, detail) }
    }

    /// The body is of another media type.
    pub fn unsupported_media() -> Self {
        let detail = "the body is not JSON; send it with `Content-Type: application/json`";
        Self { status: Some(StatusCode::UNSUPPORTED_MEDIA_TYPE), ..Self::new(Refusal::Malformed, detail) }
    }

    /// The request took too long to arrive or to answer.
    pub fn timed_out() -> Self {
        let detail = "the request was not done in time; try again";
        Self { status: Some(StatusCode::REQUEST_TIMEOUT), ..Self::new(Refusal::Busy, detail) }
    }

    /// Says what was decided instead.
    #[must_use]
    pub fn with_decided(mut self, decided: Option<Decided>) -> Self {
        self.decided = decided.map(Box::new);
        self
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> Refusal {
        self.reason
    }

    /// The explanation.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| status(self.reason))
    }
}

/// The HTTP status of a refusal.
fn status(reason: Refusal) -> StatusCode {
    match reason {
        Refusal::Malformed | Refusal::Version => StatusCode::BAD_REQUEST,
        Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
        Refusal::NotMember
        | Refusal::Policy
        | Refusal::InvalidInvite
        | Refusal::RegistrationClosed
        | Refusal::NoTicket => StatusCode::FORBIDDEN,
        Refusal::UnknownAccount | Refusal::UnknownRoom | Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::StaleEpoch
        | Refusal::NumberReused
        | Refusal::NumberGap
        | Refusal::AliasTaken
        | Refusal::RolledBack
        | Refusal::ChainConflict
        | Refusal::Conflict
        | Refusal::Superseded => StatusCode::CONFLICT,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::InvalidCommit | Refusal::InvalidSignature | Refusal::ClockSkew => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Refusal::RateLimited | Refusal::Quota => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::RelayUnreachable | Refusal::UnknownRelay => StatusCode::BAD_GATEWAY,
        Refusal::Busy | Refusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<PeerError> for ApiError {
    fn from(error: PeerError) -> Self {
        let reason = match &error {
            PeerError::Unknown { .. } => Refusal::UnknownRelay,
            PeerError::Unreachable { .. }
            | PeerError::Timeout { .. }
            | PeerError::Refused { .. }
            | PeerError::Crowded { .. } => Refusal::RelayUnreachable,
        };
        Self::new(reason, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        metrics::counter!("posthouse_http_refusals_total", "reason" => self.reason.name()).increment(1);
        let body = ErrorBody {
            error: self.reason,
            detail: self.detail,
            decided: self.decided.as_deref().map(Base64::of),
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(ms) = self.retry_after_ms {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        response
    }
}

/// Gives the failures that the framework answers by itself the same body as all others.
pub async fn uniform(response: Response) -> Response {
    let status = response.status();
    let ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let error = match status {
        StatusCode::METHOD_NOT_ALLOWED => ApiError::method_not_allowed(),
        StatusCode::NOT_FOUND => ApiError::new(Refusal::NotFound, "there is nothing at this path"),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(Refusal::TooLarge, "the body is larger than this path takes")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::unsupported_media(),
        status if status.is_client_error() => ApiError {
            status: Some(status),
            ..ApiError::new(Refusal::Malformed, "the request does not fit this path; see /openapi.json")
        },
        _ => ApiError::new(Refusal::Internal, INTERNAL),
    };
    let allow = response.headers().get(ALLOW).cloned();
    let mut response = error.into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_looks_like_success() {
        for reason in Refusal::ALL {
            let status = status(*reason);
            assert!(status.is_client_error() || status.is_server_error(), "{reason}");
        }
    }

    #[test]
    fn a_failure_inside_shows_no_internals() {
        let inner = std::io::Error::other("disk /dev/secret is full");
        let error = ApiError::internal("writing", &inner);
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.detail().contains("secret"));
    }
}
