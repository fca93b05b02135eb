//! How policies and bindings stand, written to their statuses and told in events.
//!
//! [`plan`] says, without I/O, what to write; `apply` writes it. A status is written when it differs from
//! what the cluster says and never else, so an object at rest causes no requests.

mod apply;
mod by_name;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster::ObservedObjects;
use apply::Applier;
pub(crate) use by_name::write_status;
pub use plan::{ReportKind, StatusReport};

/// How many statuses are written at a time.
const CONCURRENCY: usize = 8;
/// How long reports are gathered.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The first pause after a failed write; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failed write.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Takes reports.
#[derive(Debug)]
pub(crate) struct StatusWriter(watch::Sender<Arc<Vec<StatusReport>>>);

impl StatusWriter {
    pub(crate) fn report(&self, reports: Vec<StatusReport>) {
        self.0.send_replace(Arc::new(reports));
    }
}

/// A writer, and the future that does its work.
pub(crate) fn writer(
    client: Client,
    observed: watch::Receiver<Arc<ObservedObjects>>,
) -> (StatusWriter, impl Future<Output = ()> + Send) {
    let (send, reports) = watch::channel(Arc::default());
    (StatusWriter(send), run(Applier::new(client), reports, observed))
}

async fn run(
    mut applier: Applier,
    mut reports: watch::Receiver<Arc<Vec<StatusReport>>>,
    mut observed: watch::Receiver<Arc<ObservedObjects>>,
) {
    let mut pause = FIRST_PAUSE;
    let mut again = None;
    loop {
        let due = again.unwrap_or_else(Instant::now);
        tokio::select! {
            changed = reports.changed() => if changed.is_err() { return },
            changed = observed.changed() => if changed.is_err() { return },
            () = sleep_until(due), if again.is_some() => {}
        }
        sleep(DEBOUNCE).await;
        let (wanted, seen) =
            (Arc::clone(&reports.borrow_and_update()), Arc::clone(&observed.borrow_and_update()));
        again = if pass(&mut applier, &wanted, &seen).await {
            pause = FIRST_PAUSE;
            None
        } else {
            let due = Instant::now().checked_add(pause);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            due
        };
    }
}

/// Writes what differs; whether all of it could be.
async fn pass(applier: &mut Applier, reports: &[StatusReport], observed: &ObservedObjects) -> bool {
    applier.forget(observed);
    let now = apply::timestamp();
    let changes: Vec<_> = reports
        .iter()
        .filter_map(|report| plan::plan(report, observed.get(&report.key())?, &now))
        .filter(|change| !applier.is_written(change))
        .collect();
    let shared = &*applier;
    let results: Vec<_> = futures::stream::iter(changes)
        .map(|change| async move {
            let result = shared.apply(&change).await;
            (change, result)
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut all = true;
    for (change, result) in results {
        match result {
            Ok(()) => applier.written(change),
            Err(error) => {
                all = false;
                let (kind, name) = (change.kind.as_str(), &change.name);
                tracing::warn!(kind, name, %error, "a status could not be written, it is tried again");
            }
        }
    }
    all
}
