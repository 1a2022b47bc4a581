//! When to ask again. Pure: says how long to wait, and does not wait.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// Reads are asked again so often, and writes that the server refused to begin.
const TRIES: u32 = 6;
/// The first wait; it doubles.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer, whatever the server asks for.
const LONGEST: Duration = Duration::from_secs(10);

/// A read is given up after so long, all its tries together: the server itself gives up after a minute.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    Answered(StatusCode, &'a HeaderMap),
    /// No answer, or only a part of one.
    Broken,
}

/// How long to wait before the request is sent again; none where it must not be.
///
/// A read may be repeated whenever repeating may help. A write may be repeated only where the server said that it has
/// not begun it: 429. After a 503 or a broken connection nobody knows. `tries` counts the requests sent, `jitter` is
/// from 0 to 1.
pub(crate) fn again(writes: bool, outcome: Outcome<'_>, tries: u32, jitter: f64) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let asked = match outcome {
        Outcome::Answered(StatusCode::TOO_MANY_REQUESTS, headers) => retry_after(headers),
        Outcome::Answered(code, headers) if code.is_server_error() && !writes => retry_after(headers),
        Outcome::Broken if !writes => None,
        _ => return None,
    };
    let backoff = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let wait = asked.unwrap_or(backoff).min(LONGEST);
    // Up, so that a crowd that was told the same second does not come in the same millisecond.
    Some(wait.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0).min(LONGEST))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(writes: bool, code: u16, after: Option<&str>, tries: u32) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(header::RETRY_AFTER, after.parse().unwrap());
        }
        again(writes, Outcome::Answered(StatusCode::from_u16(code).unwrap(), &headers), tries, 0.0)
    }

    #[test]
    fn repeats_a_write_only_if_the_server_has_not_begun_it() {
        assert!(answered(true, 429, None, 1).is_some());
        for code in [200, 400, 404, 409, 422, 500, 502, 503, 504] {
            assert_eq!(answered(true, code, Some("1"), 1), None, "{code}");
        }
        assert_eq!(again(true, Outcome::Broken, 1, 0.0), None);
    }

    #[test]
    fn repeats_a_read_while_it_may_help() {
        for code in [429, 500, 503, 504] {
            assert!(answered(false, code, None, 1).is_some(), "{code}");
        }
        for code in [200, 400, 401, 403, 404, 410] {
            assert_eq!(answered(false, code, None, 1), None, "{code}");
        }
        assert!(again(false, Outcome::Broken, 1, 0.0).is_some());
    }

    #[test]
    fn waits_as_long_as_the_server_asks_within_reason() {
        assert_eq!(answered(false, 429, Some("3"), 1), Some(Duration::from_secs(3)));
        assert_eq!(answered(true, 429, Some("3600"), 1), Some(LONGEST));
        assert_eq!(answered(true, 429, Some("18446744073709551615"), 1), Some(LONGEST));
        assert_eq!(answered(true, 429, Some("Wed, 21 Oct 2015 07:28:00 GMT"), 1), Some(FIRST));
    }

    #[test]
    fn doubles_and_gives_up() {
        let waits: Vec<_> = (1..=6).map(|tries| answered(false, 503, None, tries)).collect();
        let millis = |n| Some(Duration::from_millis(n));
        assert_eq!(waits, [millis(100), millis(200), millis(400), millis(800), millis(1600), None]);
    }

    #[test]
    fn spreads_by_a_quarter_at_most() {
        let wait = again(false, Outcome::Broken, 1, 1.0);
        assert_eq!(wait, Some(Duration::from_millis(125)));
    }
}
