//! Takes the changes of a plan, one after the other.

use fairness::apf::plan::{Change, Object};
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, Preconditions};
use kube::{Client, ResourceExt};

use super::observed::{Kind, Observed, place};
use crate::cluster::api_message;

/// The name under which fields are owned.
pub(super) const MANAGER: &str = "bailey-fairness";

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was made.
    Created,
    /// It was written.
    Updated,
    /// It was deleted.
    Deleted,
    /// Somebody else changed it at the same time: the watch tells how, and it is planned anew.
    Raced,
    /// It was refused, or nobody answered.
    Failed(String),
}

/// Takes a change, and notes what it did.
pub(super) async fn take(client: &Client, change: &Change, observed: &mut Observed) -> Outcome {
    let (Change::Create(object) | Change::Update(object) | Change::Delete(object)) = change;
    let (kind, name) = place(object);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let result = match change {
        Change::Create(_) => put(&api, kind, object, true, observed).await.map(|()| Outcome::Created),
        Change::Update(_) => put(&api, kind, object, false, observed).await.map(|()| Outcome::Updated),
        Change::Delete(_) => {
            let deleted = api.delete(name, &as_it_was_read(object)).await;
            deleted.map(|_| observed.remove(kind, name)).map(|_| Outcome::Deleted)
        }
    };
    match result {
        Ok(outcome) => outcome,
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Outcome::Raced,
        Err(error) => Outcome::Failed(api_message(&error)),
    }
}

/// Creates an object, or replaces the version that was read.
async fn put(
    api: &Api<DynamicObject>,
    kind: Kind,
    object: &Object,
    create: bool,
    observed: &mut Observed,
) -> kube::Result<()> {
    let written = match object {
        Object::Level(level) => serde_json::to_value(level),
        Object::Schema(schema) => serde_json::to_value(schema),
    };
    let object: DynamicObject = written.and_then(serde_json::from_value).map_err(kube::Error::SerdeError)?;
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let stored = if create {
        api.create(&parameters, &object).await?
    } else {
        api.replace(&object.name_any(), &parameters, &object).await?
    };
    observed.set(kind, stored);
    Ok(())
}

/// A deletion of the version that was read: what somebody took over meanwhile stays.
fn as_it_was_read(object: &Object) -> DeleteParams {
    let resource_version = match object {
        Object::Level(level) => level.metadata.resource_version.clone(),
        Object::Schema(schema) => schema.metadata.resource_version.clone(),
    };
    let preconditions = Preconditions { resource_version, uid: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}
