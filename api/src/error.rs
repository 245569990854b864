//! Everything a request can be refused for: one enum, one status, one code each. Causes are logged here, once, and
//! never sent.

use std::{borrow::Cow, time::Duration};

use hyper::{
    StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use jobs::{JobId, tokens::TokenScope};
use warp::reply::Response;

use crate::problem::Problem;

/// When a caller may try again after the database was away.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// Why a request is not answered with what it asked for. The message is what the caller reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("there is nothing here")]
    NotFound,
    #[error("this resource takes {allow}")]
    MethodNotAllowed { allow: String },
    #[error("the signature is missing or wrong")]
    BadSignature,
    #[error("a bearer token is needed")]
    Unauthenticated,
    #[error("the token lacks the scope {0}")]
    MissingScope(TokenScope),
    #[error("the token belongs to another station")]
    ForeignStation,
    #[error("{0}")]
    Malformed(String),
    #[error("{detail}")]
    InvalidParameter { parameter: &'static str, detail: String },
    #[error("this resource has no such parameter")]
    UnknownParameter(String),
    #[error("the body is over {bytes_max} bytes")]
    BodyTooLarge { bytes_max: usize },
    #[error("the body did not arrive within {} s", .0.as_secs())]
    BodyTooSlow(Duration),
    #[error("the body broke off")]
    BodyAborted,
    #[error("bodies are read uncompressed here")]
    ContentEncoding,
    #[error("this delivery's id came before with another body")]
    DeliveryConflict,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("the job is neither dead nor cancelled")]
    NotEnded,
    #[error("the job's dedupe key is taken by job {by}")]
    KeyTaken { by: JobId },
    #[error("the request holds a value that can't be stored")]
    Unstorable(String),
    #[error("the database lacks the migrations of this program")]
    NotMigrated,
    #[error("the service can't answer now")]
    Unavailable(String),
    #[error("something went wrong here")]
    Internal(String),
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadSignature | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::MissingScope(_) | Self::ForeignStation => StatusCode::FORBIDDEN,
            Self::Malformed(_)
            | Self::InvalidParameter { .. }
            | Self::UnknownParameter(_)
            | Self::BodyAborted
            | Self::Unstorable(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::DeliveryConflict | Self::KeyReused | Self::NotEnded | Self::KeyTaken { .. } => StatusCode::CONFLICT,
            Self::NotMigrated | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::InvalidParameter { parameter, .. } => return Cow::Owned(format!("invalid_{parameter}")),
            Self::NotFound => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::BadSignature => "bad_signature",
            Self::Unauthenticated => "unauthenticated",
            Self::MissingScope(_) => "missing_scope",
            Self::ForeignStation => "foreign_station",
            Self::Malformed(_) => "malformed_body",
            Self::UnknownParameter(_) => "unknown_parameter",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTooSlow(_) => "body_too_slow",
            Self::BodyAborted => "body_aborted",
            Self::ContentEncoding => "content_encoding",
            Self::DeliveryConflict => "delivery_conflict",
            Self::KeyReused => "idempotency_key_reused",
            Self::NotEnded => "not_ended",
            Self::KeyTaken { .. } => "dedupe_key_taken",
            Self::Unstorable(_) => "unstorable",
            Self::NotMigrated => "not_migrated",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        })
    }

    fn parameter(&self) -> Option<&str> {
        match self {
            Self::InvalidParameter { parameter, .. } => Some(parameter),
            Self::UnknownParameter(name) => Some(name),
            _ => None,
        }
    }

    /// The header a status asks for, where it asks for one.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed { allow } => {
                Some((header::ALLOW, HeaderValue::try_from(allow).expect("methods are tokens")))
            }
            Self::Unauthenticated => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::MissingScope(_) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\"")))
            }
            Self::NotMigrated | Self::Unavailable(_) => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        }
    }

    /// The answer to the caller; the cause goes to the log.
    pub(crate) fn into_response(self) -> Response {
        match &self {
            Self::Unstorable(cause) => tracing::warn!(%cause, "answered 400"),
            Self::Unavailable(cause) => tracing::warn!(%cause, "answered 503"),
            Self::Internal(cause) => tracing::error!(%cause, "answered 500"),
            _ => {}
        }
        let (code, detail) = (self.code(), self.to_string());
        let mut response = Problem::new(self.status(), &code, &detail).about(self.parameter()).into_response();
        response.headers_mut().extend(self.header());
        response
    }
}

impl From<jobs::Error> for ApiError {
    fn from(error: jobs::Error) -> Self {
        match error {
            jobs::Error::Unavailable(cause) | jobs::Error::Contended(cause) | jobs::Error::NoDay(cause) => {
                Self::Unavailable(cause)
            }
            jobs::Error::BadCursor => Self::InvalidParameter { parameter: "cursor", detail: error.to_string() },
            jobs::Error::Invalid { field, detail } => Self::InvalidParameter { parameter: field, detail },
            jobs::Error::Unstorable(cause) => Self::Unstorable(cause),
            other => Self::Internal(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_database_is_503_with_a_time_to_retry() {
        let response = ApiError::from(jobs::Error::Unavailable("connection refused".to_owned())).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_bad_parameter_is_named_in_the_code() {
        let error = ApiError::from(jobs::Error::BadCursor);
        assert_eq!((error.status(), error.code().as_ref()), (StatusCode::BAD_REQUEST, "invalid_cursor"));
    }

    #[test]
    fn a_value_the_database_cannot_take_is_the_callers_to_change() {
        let error = ApiError::from(jobs::Error::Unstorable("index row size 8056".to_owned()));
        assert_eq!((error.status(), error.code().as_ref()), (StatusCode::BAD_REQUEST, "unstorable"));
    }

    #[test]
    fn causes_stay_out_of_the_message() {
        let cause = || "relation vtoc.job does not exist".to_owned();
        for error in [ApiError::Internal(cause()), ApiError::Unstorable(cause()), ApiError::Unavailable(cause())] {
            assert!(!error.to_string().contains("vtoc.job"));
        }
    }
}
