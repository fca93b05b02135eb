use std::convert::Infallible;
use std::sync::mpsc;
use std::time::Duration;

use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server that knows Namespaces and ConfigMaps, each with one object, and watches that stay silent.
async fn answer(request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if query.contains("watch=true") {
        return std::future::pending().await;
    }
    let body = match path {
        "/api/v1" => json!({
            "kind": "APIResourceList", "groupVersion": "v1",
            "resources": [
                {"name": "namespaces", "singularName": "", "namespaced": false, "kind": "Namespace", "verbs": ["list", "watch"]},
                {"name": "configmaps", "singularName": "", "namespaced": true, "kind": "ConfigMap", "verbs": ["list", "watch"]},
                {"name": "bindings", "singularName": "", "namespaced": true, "kind": "Binding", "verbs": ["create"]},
            ],
        }),
        "/api/v1/namespaces" => {
            list(&json!({"name": "a", "managedFields": [{"manager": "m"}], "labels": {"l": "v"}}))
        }
        "/api/v1/configmaps" => list(&json!({"name": "c", "namespace": "a"})),
        _ => {
            let missing =
                http::Response::builder().status(404).body(Body::from(b"404 page not found".to_vec()));
            return Ok(missing.unwrap());
        }
    };
    Ok(http::Response::new(Body::from(body.to_string().into_bytes())))
}

fn list(metadata: &Value) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [{"metadata": metadata}]})
}

fn kind(group: &str, kind: &str) -> LookupKind {
    LookupKind { group: group.to_owned(), version: "v1".to_owned(), kind: kind.to_owned() }
}

fn lookups() -> Lookups {
    Lookups::new(Client::new(tower::service_fn(answer), "default"), 500, Tasks::new())
}

fn observe(lookups: &Lookups) -> mpsc::Receiver<ObjectEvent> {
    let (send, receive) = mpsc::channel();
    lookups.subscribe(Box::new(move |event| drop(send.send(event.clone()))));
    receive
}

async fn synced(lookups: &Lookups) {
    let mut synced = lookups.synced();
    let wait = synced.wait_for(|synced| *synced);
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("never synced").unwrap();
}

#[tokio::test]
async fn observers_see_the_state_and_then_every_change() {
    let lookups = lookups();
    let early = observe(&lookups);
    lookups.set_kinds(&BTreeSet::from([kind("", "ConfigMap")]));
    lookups.set_listed();
    synced(&lookups).await;
    let late = observe(&lookups);
    // INVARIANT: who is told of the sync was told of the objects before.
    let mut first: Vec<_> = early.try_iter().collect();
    first.sort_by_key(|event| matches!(event, ObjectEvent::Replace(kind, _) if kind.kind == "Namespace"));
    assert_eq!(late.try_iter().collect::<Vec<_>>(), first);
    let [ObjectEvent::Replace(_, config_maps), ObjectEvent::Replace(_, namespaces)] = first.as_slice() else {
        panic!("{first:?}")
    };
    assert_eq!((config_maps[0].key.namespace.as_str(), config_maps[0].key.name.as_str()), ("a", "c"));
    let namespace: Value = serde_json::from_str(&namespaces[0].json).unwrap();
    let metadata = json!({"name": "a", "labels": {"l": "v"}});
    assert_eq!(namespace, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));

    lookups.set_kinds(&BTreeSet::new());
    assert_eq!(early.try_iter().collect::<Vec<_>>(), [ObjectEvent::Drop(kind("", "ConfigMap"))]);
    assert_eq!(lookups.state().len(), 1);
}

#[tokio::test]
async fn a_kind_that_cannot_be_had_does_not_hold_readiness_up() {
    let lookups = lookups();
    let events = observe(&lookups);
    let kinds = [kind("example.com", "Widget"), kind("", "Wodget"), kind("", "Binding")];
    lookups.set_kinds(&BTreeSet::from(kinds.clone()));
    assert!(!*lookups.synced().borrow());
    lookups.set_listed();
    synced(&lookups).await;
    assert!(
        events
            .try_iter()
            .all(|event| matches!(event, ObjectEvent::Replace(kind, _) if kind.kind == "Namespace"))
    );
    let state = lookups.state();
    let errors: Vec<_> = kinds.iter().map(|kind| state[kind].error.clone().unwrap()).collect();
    let expected = [
        "the API server serves no kind `Widget` in `example.com/v1`",
        "the API server serves no kind `Wodget` in `v1`",
        "objects of the kind `Binding` cannot be watched",
    ];
    assert_eq!(errors, expected);
    // A new kind makes it unsynced at once, until that is known of it too.
    lookups.set_kinds(&BTreeSet::from([kind("", "ConfigMap")]));
    assert!(!*lookups.synced().borrow());
    synced(&lookups).await;
}
