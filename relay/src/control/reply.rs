//! What the control socket answers where it does not do what was asked.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// What a handler of the control socket returns.
pub type Reply<T> = Result<Json<T>, Trouble>;

/// Why the relay did not do what its operator asked, and what to do; the operator is told everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Trouble {
    error: String,
    #[serde(skip)]
    status: StatusCode,
}

impl Trouble {
    /// The relay failed inside.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self { error: error.to_string(), status: StatusCode::INTERNAL_SERVER_ERROR }
    }

    /// What was asked cannot be done as things are.
    pub fn refused(why: impl std::fmt::Display) -> Self {
        Self { error: why.to_string(), status: StatusCode::CONFLICT }
    }

    /// What was asked about is not there.
    pub fn unknown(what: impl std::fmt::Display) -> Self {
        Self { error: what.to_string(), status: StatusCode::NOT_FOUND }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
