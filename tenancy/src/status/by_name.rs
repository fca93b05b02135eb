use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::api::{GROUP, VERSION};
use crate::cluster::api_message;

/// Writes these fields of the status of a Bailey object outside namespaces as those of `manager`; whether they stand. An
/// object that is gone needs none, and of any other failure the log tells.
pub(crate) async fn write_status(
    client: &Client,
    manager: &str,
    kind: &str,
    name: String,
    status: Value,
) -> bool {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": {"name": name}, "status": status,
    });
    let parameters = PatchParams::apply(manager).force();
    match api.patch_status(&name, &parameters, &Patch::Apply(object)).await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.is_not_found() => true,
        Err(error) => {
            let error = api_message(&error);
            tracing::warn!(kind, name, manager, error, "a status could not be written, it is tried again");
            false
        }
    }
}
