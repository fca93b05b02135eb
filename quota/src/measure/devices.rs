//! ResourceClaims: their number, and their devices by device class.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::json::{self, Text, or_default};
use super::number::{ONE, whole};
use super::{Amounts, MeasureError, Measured, names};

/// What a request for all devices of a class counts as: more cannot be given to one claim.
const ALL: u64 = 32;

/// A Pod, as its ResourceClaim names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerPod {
    /// Its name, in the namespace of the claim.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

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
    #[serde(borrow, default, deserialize_with = "or_default")]
    name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    uid: Text<'a>,
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
    Ok(Measured { owner: owner(&claim.metadata), ..Measured::of(amounts) })
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

fn owner(metadata: &Metadata<'_>) -> Option<OwnerPod> {
    metadata.annotations.made.as_deref().filter(|made| *made == "true")?;
    let owner = metadata.owner_references.iter().find(|owner| owner.controller)?;
    (&*owner.kind == "Pod" && &*owner.api_version == "v1")
        .then(|| OwnerPod { name: owner.name.to_string(), uid: owner.uid.to_string() })
}

impl Measured {
    /// The amounts of a ResourceClaim with the extended resources that its devices are.
    ///
    /// `name_of` says what extended resource the devices of a class are, if its DeviceClass gives them such a
    /// name. `pod` is what the owner of the claim counts as: what counts there is not counted twice. It is given
    /// if there is a Pod of that name and UID, and its status names this claim, or none and this is its oldest.
    pub fn with_extended(&self, name_of: impl Fn(&str) -> Option<String>, pod: Option<&Amounts>) -> Amounts {
        let mut extended: BTreeMap<String, i128> = BTreeMap::new();
        for (name, devices) in &self.amounts {
            let Some(class) = name.strip_suffix(names::DEVICES).filter(|class| !class.is_empty()) else {
                continue;
            };
            let named = name_of(class).filter(|name| !name.is_empty());
            let implicit = format!("requests.{}{class}", names::DEVICE_CLASS);
            for name in named.map(|name| format!("requests.{name}")).into_iter().chain([implicit]) {
                let sum = extended.entry(name).or_default();
                *sum = sum.saturating_add(*devices);
            }
        }
        let mut amounts = self.amounts.clone();
        for (name, devices) in extended {
            let counted = pod.and_then(|pod| pod.get(name.as_str())).copied().unwrap_or(0);
            let left = devices.saturating_sub(counted);
            if left > 0 {
                amounts.insert(Cow::Owned(name), left);
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
    fn devices_that_are_extended_resources_count_less_what_the_pod_counts() {
        let claim = measured(&json!([
            {"exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 3}}]));
        let name_of = |class: &str| (class == "gpu").then(|| "example.com/gpu".to_owned());
        let own =
            [("count/resourceclaims.resource.k8s.io", 1), ("gpu.deviceclass.resource.k8s.io/devices", 3)];
        let implicit = ("requests.deviceclass.resource.kubernetes.io/gpu", 3);
        assert_eq!(found(&claim.with_extended(|_| None, None)), [own[0], own[1], implicit]);
        let all = claim.with_extended(name_of, None);
        assert_eq!(found(&all), [own[0], own[1], implicit, ("requests.example.com/gpu", 3)]);
        let pod = Amounts::from([(Cow::Borrowed("requests.example.com/gpu"), 2 * ONE)]);
        let less = claim.with_extended(name_of, Some(&pod));
        assert_eq!(found(&less), [own[0], own[1], implicit, ("requests.example.com/gpu", 1)]);
        let pod = Amounts::from([(Cow::Borrowed("requests.example.com/gpu"), 3 * ONE)]);
        assert_eq!(found(&claim.with_extended(name_of, Some(&pod))), [own[0], own[1], implicit]);
    }

    #[test]
    fn a_claim_that_was_made_for_a_pod_names_it() {
        let owner = |annotation: &str, kind: &str, controller: bool| {
            let claim = json!({"metadata": {
                "annotations": {"other": null, "resource.kubernetes.io/extended-resource-claim": annotation},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "other", "uid": "0"},
                    {"apiVersion": "v1", "kind": kind, "name": "a", "uid": "1", "controller": controller}]}});
            measure(claim.to_string().as_bytes()).unwrap().owner.map(|owner| owner.name)
        };
        assert_eq!(owner("true", "Pod", true), Some("a".to_owned()));
        assert_eq!(owner("false", "Pod", true), None);
        assert_eq!(owner("true", "Job", true), None);
        assert_eq!(owner("true", "Pod", false), None);
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
