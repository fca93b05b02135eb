use super::*;
use crate::rego::{InventoryChange, RegoInventory};
use model::{LookupKind, ObjectEvent, ObjectKey, StoredObject};

fn kind(group: &str, version: &str, kind: &str) -> LookupKind {
    LookupKind { group: group.into(), version: version.into(), kind: kind.into() }
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        kind: kind("networking.k8s.io", "v1", "Ingress"),
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn ingress(namespace: &str, name: &str, host: &str) -> StoredObject {
    StoredObject { key: key(namespace, name), json: format!(r#"{{"spec":{{"host":"{host}"}}}}"#).into() }
}

fn follow(inventory: &mut RegoInventory, event: &ObjectEvent) {
    inventory.apply(&InventoryChange::decode(event));
}

fn json(inventory: &RegoInventory) -> serde_json::Value {
    serde_json::from_str(&inventory.data().to_json_str().unwrap()).unwrap()
}

#[test]
fn the_inventory_follows_events_in_gatekeepers_shape() {
    let mut inventory = RegoInventory::new();
    let empty = json(&inventory);
    assert_eq!(empty, serde_json::json!({"inventory": {"cluster": {}, "namespace": {}}}));
    follow(&mut inventory, &ObjectEvent::Upsert(ingress("a", "x", "one")));
    let old = inventory.data();
    follow(&mut inventory, &ObjectEvent::Upsert(ingress("a", "x", "two")));
    follow(&mut inventory, &ObjectEvent::Upsert(ingress("", "c", "three")));
    assert_eq!(
        json(&inventory),
        serde_json::json!({"inventory": {
            "cluster": {"networking.k8s.io/v1": {"Ingress": {"c": {"spec": {"host": "three"}}}}},
            "namespace": {"a": {"networking.k8s.io/v1": {"Ingress": {"x": {"spec": {"host": "two"}}}}}}
        }})
    );
    assert!(old.to_json_str().unwrap().contains("one"), "a document that is in use does not change");
    follow(&mut inventory, &ObjectEvent::Delete(key("a", "x")));
    follow(&mut inventory, &ObjectEvent::Delete(key("nowhere", "x")));
    follow(&mut inventory, &ObjectEvent::Delete(key("", "c")));
    assert_eq!(json(&inventory), empty, "empty maps are taken out");
}

#[test]
fn replacing_and_dropping_concern_one_kind() {
    let mut inventory = RegoInventory::new();
    let node = StoredObject {
        key: ObjectKey { kind: kind("", "v1", "Node"), namespace: String::new(), name: "n".into() },
        json: "{}".into(),
    };
    follow(&mut inventory, &ObjectEvent::Upsert(node));
    follow(&mut inventory, &ObjectEvent::Upsert(ingress("gone", "x", "h")));
    let ingresses = kind("networking.k8s.io", "v1", "Ingress");
    let bad = StoredObject { key: key("a", "bad"), json: "{".into() };
    let all = vec![ingress("a", "y", "h"), ingress("b", "z", "h"), bad];
    follow(&mut inventory, &ObjectEvent::Replace(ingresses.clone(), all));
    let nodes = serde_json::json!({"v1": {"Node": {"n": {}}}});
    let one = serde_json::json!({"spec": {"host": "h"}});
    let in_namespace = |name: &str| serde_json::json!({"networking.k8s.io/v1": {"Ingress": {name: one}}});
    assert_eq!(
        json(&inventory),
        serde_json::json!({"inventory": {"cluster": nodes, "namespace": {"a": in_namespace("y"), "b": in_namespace("z")}}})
    );
    follow(&mut inventory, &ObjectEvent::Drop(ingresses));
    assert_eq!(json(&inventory), serde_json::json!({"inventory": {"cluster": nodes, "namespace": {}}}));
}

#[test]
fn a_policy_that_declares_lookups_reads_the_inventory() {
    let text = "package unique_host
        deny contains sprintf(\"host `%v` is taken by `%v/%v`\", [host, ns, name]) if {
            host := input.review.object.spec.host
            some ns, name
            data.inventory.namespace[ns][_].Ingress[name].spec.host == host
        }";
    for extra in ["", "\nother if { walk(input, [_, 77]) }\nwarn contains \"w\" if other"] {
        let modules = [module("policy.rego", &format!("{text}{extra}"))];
        let program = RegoProgram::compile(V1, &modules, true, false, &Limits::default()).unwrap();
        let mut inventory = RegoInventory::new();
        let limits = patient();
        let mut instance = program.instantiate().unwrap();
        let request = r#"{"object":{"spec":{"host":"h"}}}"#;
        for (event, expected) in [
            (ObjectEvent::Upsert(ingress("a", "x", "other")), vec![]),
            (ObjectEvent::Upsert(ingress("a", "x", "h")), vec!["host `h` is taken by `a/x`"]),
            (ObjectEvent::Delete(key("a", "x")), vec![]),
        ] {
            follow(&mut inventory, &event);
            let answer =
                instance.validate(review(request), inventory.data(), &limits, limits.timeout).unwrap();
            let found: Vec<&str> = answer.observations.iter().map(|o| o.message.as_str()).collect();
            assert_eq!(found, expected);
        }
    }
}
