//! Every kind that the API server serves, and what a user is let do with it.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, verbs};
use kube::{Api, Client};
use serde_json::json;

use crate::{ADMIN, World};

/// Every kind of a world, with what can be done with it.
///
/// # Panics
/// When discovery fails.
pub async fn kinds(world: &World) -> Vec<(ApiResource, ApiCapabilities)> {
    let discovery = Discovery::new(world.client(ADMIN).await).run().await.unwrap();
    discovery.groups().flat_map(|group| group.recommended_resources()).collect()
}

/// What a user who may do nothing with a kind is let do all the same, by really trying.
///
/// # Panics
/// For a kind that is none.
pub async fn let_in(
    api: &Api<DynamicObject>,
    kind: &ApiResource,
    can: &ApiCapabilities,
) -> Vec<&'static str> {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "attack"},
    }))
    .unwrap();
    let merge = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let (delete, list) = (DeleteParams::default(), ListParams::default());
    let mut found = Vec::new();
    let mut tried = |verb: &'static str, refused: bool| found.extend((!refused).then_some(verb));
    if can.supports_operation(verbs::LIST) {
        tried("list", is_forbidden(api.list(&list).await));
    }
    if can.supports_operation(verbs::GET) {
        tried("get", is_forbidden(api.get("attack").await));
    }
    if can.supports_operation(verbs::CREATE) {
        tried("create", is_forbidden(api.create(&PostParams::default(), &object).await));
    }
    if can.supports_operation(verbs::PATCH) {
        tried("patch", is_forbidden(api.patch("attack", &PatchParams::default(), &merge).await));
    }
    if can.supports_operation(verbs::DELETE) {
        tried("delete", is_forbidden(api.delete("attack", &delete).await));
    }
    if can.supports_operation(verbs::DELETE_COLLECTION) {
        tried("deletecollection", is_forbidden(api.delete_collection(&delete, &list).await));
    }
    found
}

/// Whether RBAC refused: 403, and not by an admission webhook.
pub fn is_forbidden<T>(result: kube::Result<T>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("cannot"))
}

/// What is asked of the API server's authorizer about the user of `client`: verb, group, plural name, and the
/// namespace, empty for the whole cluster.
///
/// # Panics
/// When it does not answer.
pub async fn may(client: &Client, verb: &str, (group, resource): (&str, &str), namespace: &str) -> bool {
    may_with(client, verb, (group, resource), namespace, "").await
}

/// The same about one object.
///
/// # Panics
/// When it does not answer.
pub async fn may_with(
    client: &Client,
    verb: &str,
    (group, resource): (&str, &str),
    namespace: &str,
    name: &str,
) -> bool {
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    let attributes = ResourceAttributes {
        verb: text(verb),
        group: text(group),
        resource: text(resource),
        namespace: text(namespace),
        name: text(name),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    answer.status.is_some_and(|status| status.allowed)
}
