//! What was let in, and was not stored within the time a request may take.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use kube::api::{Api, DynamicObject};
use kube::{Client, ResourceExt};
use quota::desk::Desk;
use quota::ledger::Place;
use tokio::time::{MissedTickBehavior, interval};

use super::source::resource_of;
use crate::cluster::api_message;

/// How often it is looked for them.
const EVERY: Duration = Duration::from_secs(1);
/// How many are looked at in a turn.
const MOST: usize = 256;
/// How many at once.
const AT_ONCE: usize = 8;

pub(super) async fn run(client: Client, desk: Arc<Desk>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = desk.now();
        let places = desk.read(|ledger| ledger.expired(now, MOST));
        let looks = stream::iter(places).map(|place| look(client.clone(), Arc::clone(&desk), place));
        looks.buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

/// Reads whether the object is there, and which it is.
async fn look(client: Client, desk: Arc<Desk>, place: Place) {
    let began = desk.now();
    let found = match find(client, &place).await {
        Ok(found) => found,
        // It stays reserved until it is known.
        Err(error) => {
            tracing::warn!(kind = %place.kind, error = api_message(&error), "a request's object cannot be looked for");
            return;
        }
    };
    let found = found.as_ref().map(|(uid, version)| (uid.as_str(), *version));
    desk.change(|ledger| ledger.looked(&place, found, began));
}

async fn find(client: Client, place: &Place) -> kube::Result<Option<(String, u64)>> {
    let Some(resource) = resource_of(&client, &place.kind.group, &place.kind.resource).await? else {
        return Ok(None);
    };
    let api: Api<DynamicObject> = match place.namespace.is_empty() {
        true => Api::all_with(client, &resource),
        false => Api::namespaced_with(client, &place.namespace, &resource),
    };
    let Some(found) = api.get_metadata_opt(&place.name).await? else { return Ok(None) };
    let version = found.resource_version().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX);
    Ok(Some((found.uid().unwrap_or_default(), version)))
}
