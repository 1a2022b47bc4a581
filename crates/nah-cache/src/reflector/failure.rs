//! Why the server did not answer as asked, sorted by what to do about it. Pure.

use std::{fmt, time::Duration};

use http::StatusCode;
use nah_core::Misfit;
use serde::Deserialize;

/// Why a list, a watch or a stream failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// The server asks to be left alone for this long.
    pub(crate) retry_after: Option<Duration>,
}

/// What a failure means for the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The version or the continue token is too old.
    Expired,
    /// The version is one that the server has not reached.
    TooLarge,
    /// Not now: there are too many requests. What was asked is fine.
    Busy,
    /// Unreachable, silent, restarting. What was asked is fine, but who knows what comes back.
    Away,
    /// The server does not know what was asked for.
    Unsupported,
    /// The resource is not served here.
    Unserved,
    Other,
}

/// The fields of a `Status` that matter here. Every one may be missing: proxies write Statuses too.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status {
    kind: String,
    code: u16,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Option<Vec<Cause>>,
    retry_after_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

const TOO_LARGE: &str = "too large resource version";

impl Failure {
    /// A failure of no particular kind.
    pub(crate) fn other(message: impl fmt::Display) -> Self {
        Self { reason: Reason::Other, message: message.to_string(), retry_after: None }
    }

    /// What was sent does not read as what it should be. Does not quote it.
    pub(crate) fn unreadable(what: &str, error: serde_json::Error) -> Self {
        Self::other(format!("cannot read {what}: {}", Misfit::from(error)))
    }

    /// The server cannot be reached, or is silent.
    pub(crate) fn away(message: impl fmt::Display) -> Self {
        Self { reason: Reason::Away, ..Self::other(message) }
    }

    /// The server does not do what was asked for.
    pub(crate) fn unsupported(message: impl fmt::Display) -> Self {
        Self { reason: Reason::Unsupported, ..Self::other(message) }
    }

    /// An answer that is not a success. Its body is a `Status`, or whatever a proxy sends.
    pub(crate) fn answered(code: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status: Option<Status> = serde_json::from_slice(body).ok();
        let status = match status.filter(|status| status.kind == "Status") {
            Some(status) => status,
            None => Status { message: excerpt(body), ..Status::default() },
        };
        let mut failure = Self::of(&Status { code: code.as_u16(), ..status });
        failure.retry_after = failure.retry_after.or(retry_after);
        failure
    }

    /// What a `Status` says, as an answer or in an ERROR event.
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.details.as_ref();
        let causes = || details.and_then(|details| details.causes.as_ref()).into_iter().flatten();
        // Three shapes by the age of the server: a cause's reason, a cause's message, the message.
        let too_large = causes()
            .any(|cause| cause.reason == "ResourceVersionTooLarge" || says(&cause.message, TOO_LARGE))
            || says(&status.message, TOO_LARGE);
        let reason = match (status.code, status.reason.as_str()) {
            _ if too_large => Reason::TooLarge,
            (410, _) | (_, "Expired" | "Gone") => Reason::Expired,
            (429, _) | (_, "TooManyRequests") => Reason::Busy,
            (503, _) | (_, "ServiceUnavailable") => Reason::Away,
            (400 | 405 | 406 | 415 | 422 | 501, _) => Reason::Unsupported,
            (404, _) => Reason::Unserved,
            _ => Reason::Other,
        };
        let message = match (status.code, status.message.as_str()) {
            (0, "") => "server sent an error without a message".to_owned(),
            (code, "") => format!("server answered {code}"),
            (0, message) => message.to_owned(),
            (code, message) => format!("server answered {code}: {message}"),
        };
        let seconds = details.map_or(0, |details| details.retry_after_seconds);
        Self { reason, message, retry_after: (seconds > 0).then(|| Duration::from_secs(seconds)) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn says(text: &str, what: &str) -> bool {
    text.to_ascii_lowercase().contains(what)
}

/// The first words of a body that is no Status.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, body: &str) -> Failure {
        Failure::answered(StatusCode::from_u16(code).unwrap(), None, body.as_bytes())
    }

    #[test]
    fn knows_an_expired_version_by_code_or_reason() // C11
    {
        assert_eq!(answered(410, "").reason, Reason::Expired);
        let status = serde_json::from_str(r#"{"kind":"Status","reason":"Expired"}"#).unwrap();
        assert_eq!(Failure::of(&status).reason, Reason::Expired);
        let status = serde_json::from_str(r#"{"code":410,"reason":"Gone","message":"too old"}"#).unwrap();
        assert_eq!(Failure::of(&status).reason, Reason::Expired);
    }

    #[test]
    fn knows_a_version_too_large_in_its_three_shapes() // C5
    {
        for body in [
            r#"{"kind":"Status","code":504,"reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"x"}]}}"#,
            r#"{"kind":"Status","code":504,"reason":"Timeout","details":{"causes":[{"message":"Too large resource version"}],"retryAfterSeconds":1}}"#,
            r#"{"kind":"Status","code":504,"message":"Timeout: Too large resource version: 20, current: 10"}"#,
        ] {
            assert_eq!(answered(504, body).reason, Reason::TooLarge, "{body}");
        }
    }

    #[test]
    fn takes_the_code_of_the_answer_over_a_proxys_body() {
        let failure = answered(502, "<html>\n <h1>Bad Gateway</h1>");
        assert_eq!(failure.reason, Reason::Other);
        assert_eq!(failure.message, "server answered 502: <html> <h1>Bad Gateway</h1>");
        assert_eq!(answered(403, r#"{"message":"no Status"}"#).reason, Reason::Other);
    }

    #[test]
    fn honours_the_wait_that_a_busy_server_asks_for() // C10
    {
        let body = r#"{"kind":"Status","code":429,"details":{"retryAfterSeconds":7}}"#;
        let failure = answered(429, body);
        assert_eq!((failure.reason, failure.retry_after), (Reason::Busy, Some(Duration::from_secs(7))));
    }

    #[test]
    fn tells_a_missing_resource_from_a_forbidden_one() {
        assert_eq!(answered(404, "404 page not found").reason, Reason::Unserved);
        assert_eq!(answered(403, "").reason, Reason::Other);
        assert_eq!(answered(422, "").reason, Reason::Unsupported);
        assert_eq!(answered(503, "").reason, Reason::Away);
    }
}
