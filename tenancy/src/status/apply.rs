use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::plan::Change;
use crate::api::{ConfigKind, GROUP, VERSION};
use crate::cluster::ObservedObjects;

/// The owner of the fields that are written.
const MANAGER: &str = "bailey";
/// The longest note of an event, in characters; Kubernetes takes 1 kB.
const MAX_NOTE: usize = 250;

/// Writes statuses by server-side apply, and tells of changes in events.
pub(super) struct Applier {
    client: Client,
    recorder: Recorder,
    /// What was written last: the watch may not show it yet.
    written: BTreeMap<(ConfigKind, String), Change>,
}

impl Applier {
    pub(super) fn new(client: Client) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: std::env::var("HOSTNAME").ok() };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, written: BTreeMap::new() }
    }

    /// Whether this very status was written last, over the status that the watch still shows.
    pub(super) fn is_written(&self, change: &Change) -> bool {
        let last = self.written.get(&(change.kind, change.name.clone()));
        last.is_some_and(|last| {
            last.uid == change.uid && last.base == change.base && same(&last.status, &change.status)
        })
    }

    pub(super) fn written(&mut self, change: Change) {
        self.written.insert((change.kind, change.name.clone()), change);
    }

    /// Forgets objects that are gone.
    pub(super) fn forget(&mut self, observed: &ObservedObjects) {
        self.written.retain(|key, _| observed.contains_key(key));
    }

    /// Writes a status.
    ///
    /// # Errors
    /// The API server refused it or was not reached. An object that is gone is no error.
    pub(super) async fn apply(&self, change: &Change) -> Result<(), kube::Error> {
        let kind = change.kind.as_str();
        let plural = match change.kind {
            ConfigKind::Policy => "policies",
            ConfigKind::Binding => "policybindings",
        };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind,
            // The uid makes sure that an object of the same name is not taken for this one.
            "metadata": { "name": change.name, "uid": change.uid },
            "status": change.status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        match api.patch_status(&change.name, &parameters, &Patch::Apply(body)).await {
            Ok(_) => {
                self.tell(change).await;
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn tell(&self, change: &Change) {
        let Some((ready, reason, message)) = &change.event else { return };
        let event = Event {
            type_: if *ready { EventType::Normal } else { EventType::Warning },
            reason: reason.clone(),
            note: Some(message.chars().take(MAX_NOTE).collect()),
            action: "Load".to_owned(),
            secondary: None,
        };
        let object = ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(change.kind.as_str().to_owned()),
            name: Some(change.name.clone()),
            uid: Some(change.uid.clone()),
            ..ObjectReference::default()
        };
        // An event is a courtesy: the status says the same.
        if let Err(error) = self.recorder.publish(&event, &object).await {
            tracing::debug!(%error, name = change.name, "an event could not be sent");
        }
    }
}

/// Whether two statuses say the same, whenever that began.
fn same(one: &Value, other: &Value) -> bool {
    let timeless = |status: &Value| {
        let mut status = status.clone();
        let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            condition.remove("lastTransitionTime");
        }
        status
    };
    timeless(one) == timeless(other)
}

/// Now, to the second, as Kubernetes writes times.
pub(super) fn timestamp() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}
