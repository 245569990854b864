//! Waiting in tests: on a condition, never for a time.

use std::{future::Future, time::Duration};

/// Waits until `condition` answers true, and fails the test after `limit`.
///
/// # Panics
/// When the condition isn't met in time.
pub async fn eventually<F: Future<Output = bool>>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) {
    let started = tokio::time::Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
