//! ResourceClaims: their number, and their devices by device class.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::json::{self, Text, or_default};
use super::number::{ONE, whole};
use super::{Amounts, MeasureError, Measured, names};

/// What a request for all devices of a class counts as: more cannot be given to one claim.
const ALL: u64 = 32;

/// The extended resources that the devices of a DeviceClass are, by the class's name.
pub type ExtendedNames = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Claim<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    metadata: Metadata<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    spec: Spec<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    annotations: Annotations<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    owner_references: Vec<Owner<'a>>,
}

#[derive(Deserialize, Default)]
struct Annotations<'a> {
    /// What Kubernetes writes on claims that it makes for the extended resources of a Pod.
    #[serde(borrow, rename = "resource.kubernetes.io/extended-resource-claim")]
    made: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    api_version: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    kind: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    controller: bool,
}

#[derive(Deserialize, Default)]
struct Spec<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    devices: Devices<'a>,
}

#[derive(Deserialize, Default)]
struct Devices<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    requests: Vec<Request<'a>>,
}

/// A request. Until v1beta1, what is now in `exactly` was its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    first_available: Vec<Exact<'a>>,
    #[serde(borrow)]
    exactly: Option<Exact<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    device_class_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    allocation_mode: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exact<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    device_class_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    allocation_mode: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    count: u64,
}

/// What a claim counts as.
pub(super) fn measure(object: &[u8]) -> Result<Measured, MeasureError> {
    let claim: Claim<'_> = json::read(object)?;
    let mut classes: BTreeMap<&str, i128> = BTreeMap::new();
    for request in &claim.spec.devices.requests {
        for (class, devices) in devices(request) {
            let sum = classes.entry(class).or_default();
            *sum = sum.saturating_add(devices);
        }
    }
    let mut amounts: Amounts = classes
        .into_iter()
        .map(|(class, devices)| (Cow::Owned(format!("{class}{}", names::DEVICES)), devices))
        .collect();
    amounts.insert(Cow::Borrowed("count/resourceclaims.resource.k8s.io"), ONE);
    Ok(Measured { of_pod: is_of_pod(&claim.metadata), ..Measured::of(amounts) })
}

/// The devices of a request by class: of alternatives, the most of each class.
fn devices<'r>(request: &'r Request<'_>) -> BTreeMap<&'r str, i128> {
    if !request.first_available.is_empty() {
        let mut most: BTreeMap<&str, i128> = BTreeMap::new();
        for choice in &request.first_available {
            let devices = number(&choice.allocation_mode, choice.count);
            if devices > 0 {
                let class = most.entry(&choice.device_class_name).or_default();
                *class = devices.max(*class);
            }
        }
        return most;
    }
    let (class, mode, count) = match &request.exactly {
        Some(exact) => (&exact.device_class_name, &exact.allocation_mode, exact.count),
        None => (&request.device_class_name, &request.allocation_mode, request.count),
    };
    let known = request.exactly.is_some() || !class.is_empty();
    known.then(|| (&**class, number(mode, count))).into_iter().collect()
}

/// Modes that are not known count nothing, as in Kubernetes.
fn number(mode: &str, count: u64) -> i128 {
    match mode {
        "ExactCount" => whole(count),
        "All" => whole(ALL),
        _ => 0,
    }
}

/// Whether the scheduler made the claim for the extended resources that a Pod asks for.
fn is_of_pod(metadata: &Metadata<'_>) -> bool {
    metadata.annotations.made.as_deref() == Some("true")
        && metadata
            .owner_references
            .iter()
            .any(|owner| owner.controller && &*owner.kind == "Pod" && &*owner.api_version == "v1")
}

impl Measured {
    /// The amounts of a ResourceClaim with the extended resources that its devices are, by the names that DeviceClasses
    /// give them and by the class's own. A claim that was made for a Pod has none: the Pod counts them.
    pub fn with_extended(&self, names_of: &ExtendedNames) -> Amounts {
        let mut amounts = self.amounts.clone();
        let by_class = self.amounts.iter().filter(|_| !self.of_pod).filter_map(|(name, devices)| {
            Some((name.strip_suffix(names::DEVICES).filter(|class| !class.is_empty())?, *devices))
        });
        for (class, devices) in by_class {
            let named = names_of.get(class).map(|name| format!("requests.{name}"));
            let implicit = format!("requests.{}{class}", names::DEVICE_CLASS);
            for name in named.into_iter().chain([implicit]) {
                let sum = amounts.entry(Cow::Owned(name)).or_default();
                *sum = sum.saturating_add(devices);
            }
        }
        amounts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn measured(requests: &Value) -> Measured {
        measure(json!({"spec": {"devices": {"requests": requests}}}).to_string().as_bytes()).unwrap()
    }

    fn found(amounts: &Amounts) -> Vec<(&str, i128)> {
        amounts.iter().map(|(name, amount)| (&**name, amount / ONE)).collect()
    }

    #[test]
    fn devices_are_counted_by_class() {
        let exact = |class: &str, mode: &str, count: Value| json!({"exactly": {"deviceClassName": class, "allocationMode": mode, "count": count}});
        let choices = json!({"firstAvailable": [
            {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2},
            {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1},
            {"deviceClassName": "fpga", "allocationMode": "All"},
            {"deviceClassName": "none", "allocationMode": "Later", "count": 9}]});
        let flat = json!({"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 3});
        for (requests, gpus, fpgas) in [
            (json!([exact("gpu", "ExactCount", json!(1))]), Some(1), None),
            (json!([exact("gpu", "All", Value::Null)]), Some(32), None),
            (json!([exact("gpu", "Later", json!(5))]), Some(0), None),
            (
                json!([exact("gpu", "ExactCount", json!(1)), exact("gpu", "ExactCount", json!(4))]),
                Some(5),
                None,
            ),
            (json!([choices]), Some(2), Some(32)),
            (json!([choices, choices, exact("fpga", "ExactCount", json!(1))]), Some(4), Some(65)),
            (json!([flat]), Some(3), None),
            (json!([{"name": "later"}]), None, None),
            (json!([]), None, None),
        ] {
            let measured = measured(&requests);
            let of = |name: &str| measured.amounts.get(name).map(|amount| amount / ONE);
            assert_eq!(of("gpu.deviceclass.resource.k8s.io/devices"), gpus, "{requests}");
            assert_eq!(of("fpga.deviceclass.resource.k8s.io/devices"), fpgas, "{requests}");
            assert_eq!(of("none.deviceclass.resource.k8s.io/devices"), None);
            assert_eq!(of("count/resourceclaims.resource.k8s.io"), Some(1));
        }
    }

    #[test]
    fn devices_count_as_the_extended_resources_that_they_are() {
        let requests = json!([
            {"exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 3}},
            {"exactly": {"deviceClassName": "big-gpu", "allocationMode": "ExactCount", "count": 1}}]);
        let claim = measured(&requests);
        let own = [
            ("big-gpu.deviceclass.resource.k8s.io/devices", 1),
            ("count/resourceclaims.resource.k8s.io", 1),
            ("gpu.deviceclass.resource.k8s.io/devices", 3),
            ("requests.deviceclass.resource.kubernetes.io/big-gpu", 1),
            ("requests.deviceclass.resource.kubernetes.io/gpu", 3),
        ];
        assert_eq!(found(&claim.with_extended(&ExtendedNames::new())), own);
        // Two classes may be the same resource.
        let name = "example.com/gpu".to_owned();
        let names = ExtendedNames::from([("gpu".to_owned(), name.clone()), ("big-gpu".to_owned(), name)]);
        let all = claim.with_extended(&names);
        assert_eq!(found(&all), [&own[..], &[("requests.example.com/gpu", 4)]].concat());
        let of_pod = Measured { of_pod: true, ..claim };
        assert_eq!(found(&of_pod.with_extended(&names)), own[..3], "the Pod counts them");
    }

    #[test]
    fn a_claim_that_was_made_for_a_pod_says_so() {
        let of_pod = |annotation: &str, kind: &str, controller: bool| {
            let claim = json!({"metadata": {
                "annotations": {"other": null, "resource.kubernetes.io/extended-resource-claim": annotation},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "other", "uid": "0"},
                    {"apiVersion": "v1", "kind": kind, "name": "a", "uid": "1", "controller": controller}]}});
            measure(claim.to_string().as_bytes()).unwrap().of_pod
        };
        assert!(of_pod("true", "Pod", true));
        assert!(
            !of_pod("false", "Pod", true) && !of_pod("true", "Job", true) && !of_pod("true", "Pod", false)
        );
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for count in ["-1", "1.5", "\"1\""] {
            let json = format!(
                r#"{{"spec": {{"devices": {{"requests": [{{"exactly": {{"count": {count}}}}}]}}}}}}"#
            );
            let error = measure(json.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("`spec.devices.requests[0].exactly.count`: invalid"), "{error}");
        }
    }
}
