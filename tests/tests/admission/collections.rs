//! `deletecollection`: each object is decided by itself.

use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tests::{World, refusal};

use crate::delete::{KEEP, create_map};

#[tokio::test]
async fn a_collection_with_a_protected_object_is_refused_and_the_object_stays() {
    let namespace = World::shared().namespace("collection").await;
    namespace.policies_here(KEEP).await;
    create_map(&namespace, "valuable", json!({"keep": "yes", "set": "mixed"})).await;
    create_map(&namespace, "rubbish", json!({"set": "mixed"})).await;
    create_map(&namespace, "free-1", json!({"set": "free"})).await;
    create_map(&namespace, "free-2", json!({"set": "free"})).await;

    let maps = namespace.config_maps();
    let (free, mixed) = (ListParams::default().labels("set=free"), ListParams::default().labels("set=mixed"));
    let deleted = maps.delete_collection(&DeleteParams::default(), &free).await;
    assert!(deleted.is_ok(), "{deleted:?}");
    assert_eq!(maps.list(&free).await.unwrap().items.len(), 0);

    let result = maps.delete_collection(&DeleteParams::default(), &mixed).await.map(|_| ());
    let refused = refusal(result);
    assert!(refused.message.contains("`valuable` is protected"), "{}", refused.message);
    assert!(maps.get_opt("valuable").await.unwrap().is_some());
}
