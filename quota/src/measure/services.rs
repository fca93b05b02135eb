//! Services: their number, and the ports of nodes and load balancers that they take.

use std::borrow::Cow;

use serde::Deserialize;

use super::json::{self, Text, or_default};
use super::number::{ONE, whole};
use super::{Amounts, MeasureError, Measured};

#[derive(Deserialize)]
struct Service<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    spec: Spec<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "or_default")]
    kind: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<Port>,
    allocate_load_balancer_node_ports: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    #[serde(default, deserialize_with = "or_default")]
    node_port: i64,
}

/// What a Service counts as. A load balancer takes ports of nodes too; where that is switched off, those that
/// are given.
pub(super) fn measure(object: &[u8]) -> Result<Measured, MeasureError> {
    let Service { spec } = json::read(object)?;
    let given = || spec.ports.iter().filter(|port| port.node_port != 0).count();
    let (balancers, ports) = match &*spec.kind {
        "NodePort" => (0, spec.ports.len()),
        "LoadBalancer" if spec.allocate_load_balancer_node_ports == Some(false) => (1, given()),
        "LoadBalancer" => (1, spec.ports.len()),
        _ => (0, 0),
    };
    let amount = |count: usize| whole(u64::try_from(count).unwrap_or(u64::MAX));
    Ok(Measured::of(Amounts::from([
        (Cow::Borrowed("services"), ONE),
        (Cow::Borrowed("services.loadbalancers"), amount(balancers)),
        (Cow::Borrowed("services.nodeports"), amount(ports)),
    ])))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn counts(spec: &Value) -> (i128, i128) {
        let measured = measure(json!({"spec": spec}).to_string().as_bytes()).unwrap();
        assert_eq!(measured.amounts["services"], ONE);
        (measured.amounts["services.loadbalancers"] / ONE, measured.amounts["services.nodeports"] / ONE)
    }

    #[test]
    fn balancers_and_node_ports_are_counted_by_type() {
        let ports = json!([{"port": 80}, {"port": 443}]);
        for (spec, expected) in [
            (json!({"type": "LoadBalancer"}), (1, 0)),
            (json!({"type": "LoadBalancer", "ports": ports}), (1, 2)),
            (json!({"type": "NodePort", "ports": [{"port": 80}]}), (0, 1)),
            (json!({"type": "NodePort", "ports": ports}), (0, 2)),
            (json!({"type": "ClusterIP", "ports": ports}), (0, 0)),
            (json!({"type": "ExternalName", "ports": null}), (0, 0)),
            (json!({"ports": ports}), (0, 0)),
        ] {
            assert_eq!(counts(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_balancer_that_is_given_no_node_ports_counts_those_that_are_named() {
        let ports = json!([{"port": 80, "nodePort": 31111}, {"port": 443, "nodePort": 0}, {"port": 8080}]);
        let balancer = |allocate: Value| {
            counts(
                &json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": allocate, "ports": ports}),
            )
        };
        assert_eq!(balancer(json!(false)), (1, 1));
        assert_eq!(balancer(json!(true)), (1, 3));
        assert_eq!(balancer(Value::Null), (1, 3));
    }

    #[test]
    fn wrong_types_are_errors() {
        let error = measure(br#"{"spec": {"ports": [{"nodePort": "x"}]}}"#).unwrap_err().to_string();
        assert!(error.starts_with("`spec.ports[0].nodePort`: invalid type: string"), "{error}");
        assert!(measure(br#"{"spec": {"type": 1}}"#).is_err());
    }
}
