//! Who asks: the session behind the bearer token. The token stands in the `Authorization` header and nowhere else.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use posthouse_spec::client::Refusal;

use crate::error::ApiError;
use crate::mailbox::MailboxKey;
use crate::state::App;
use crate::store::Session;

/// A request with a good session.
pub(super) struct Caller(pub(super) Session);

impl Deref for Caller {
    type Target = MailboxKey;

    fn deref(&self) -> &MailboxKey {
        &self.0.who
    }
}

/// The token of a bearer authorization.
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or_else(|| {
            ApiError::new(
                Refusal::Unauthenticated,
                "no session token; log in and send it as `Authorization: Bearer TOKEN`",
            )
        })?;
        app.accounts.session(token).await.map(Self)
    }
}
