//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a condition may take that should be true within a second, on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(50);

/// Polls `condition` until it is true.
///
/// # Panics
/// When it is not true within [`SOON`]; `what` says what was waited for.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    until_some(what, async || condition().await.then_some(())).await;
}

/// Polls `condition` until it gives a value.
///
/// # Panics
/// When it gives none within [`SOON`]; `what` says what was waited for.
pub async fn until_some<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < SOON, "waited {} s in vain: {what}", SOON.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
