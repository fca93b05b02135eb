//! PersistentVolumeClaims: their number and storage, together and by storage class.

use std::borrow::Cow;

use serde::Deserialize;

use super::json::{self, List, Text, or_default};
use super::number::{ONE, rounded_up};
use super::{Amounts, MeasureError, Measured, Scopes, names};

#[derive(Deserialize)]
struct Claim<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    metadata: Metadata<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    spec: Spec<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    status: Status<'a>,
}

#[derive(Deserialize, Default)]
struct Metadata<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    annotations: Annotations<'a>,
}

#[derive(Deserialize, Default)]
struct Annotations<'a> {
    /// The storage class as it was written before there was a field for it. It still goes first.
    #[serde(borrow, rename = "volume.beta.kubernetes.io/storage-class")]
    class: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    volume_attributes_class_name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    resources: Resources<'a>,
}

#[derive(Deserialize, Default)]
struct Resources<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    requests: List<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    allocated_resources: List<'a>,
    #[serde(borrow)]
    current_volume_attributes_class_name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    modify_volume_status: ModifyStatus<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ModifyStatus<'a> {
    #[serde(borrow)]
    target_volume_attributes_class_name: Option<Text<'a>>,
}

/// What a claim counts as.
pub(super) fn measure(object: &[u8]) -> Result<Measured, MeasureError> {
    let claim: Claim<'_> = json::read(object)?;
    let class = claim.metadata.annotations.class.as_ref().or(claim.spec.storage_class_name.as_ref());
    let class = class.map(|class| &**class).filter(|class| !class.is_empty());
    let counted = [("persistentvolumeclaims", Some(ONE)), ("requests.storage", storage(&claim))];
    let mut amounts = Amounts::new();
    for (name, amount) in counted.into_iter().filter_map(|(name, amount)| Some((name, amount?))) {
        amounts.insert(Cow::Borrowed(name), amount);
        if let Some(class) = class {
            amounts.insert(Cow::Owned(format!("{class}{}{name}", names::STORAGE_CLASS)), amount);
        }
    }
    let scopes = Scopes::Volume { attributes_classes: attributes_classes(&claim) };
    Ok(Measured { scopes, ..Measured::of(amounts) })
}

/// Whole bytes: what is asked for, or what an expansion under way has set aside, if that is more.
fn storage(claim: &Claim<'_>) -> Option<i128> {
    let asked = rounded_up(claim.spec.resources.requests.get("storage")?);
    let set_aside = claim.status.allocated_resources.get("storage").map_or(0, rounded_up);
    Some(asked.max(set_aside))
}

/// The class that is asked for, the one that is in force, and the one that it is being changed to.
fn attributes_classes(claim: &Claim<'_>) -> Vec<String> {
    let status = &claim.status;
    let classes = [
        &claim.spec.volume_attributes_class_name,
        &status.current_volume_attributes_class_name,
        &status.modify_volume_status.target_volume_attributes_class_name,
    ];
    let mut classes: Vec<String> = classes
        .into_iter()
        .flatten()
        .map(|class| class.to_string())
        .filter(|class| !class.is_empty())
        .collect();
    classes.sort();
    classes.dedup();
    classes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GI: i128 = 1_073_741_824 * ONE;

    fn amounts(claim: &Value) -> Vec<(String, i128)> {
        let measured = measure(claim.to_string().as_bytes()).unwrap();
        measured.amounts.into_iter().map(|(name, amount)| (name.into_owned(), amount)).collect()
    }

    fn owned(expected: &[(&str, i128)]) -> Vec<(String, i128)> {
        expected.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
    }

    #[test]
    fn claims_count_together_and_by_class() {
        let spec = json!({"storageClassName": "gold", "resources": {"requests": {"storage": "10Gi"}}});
        let plain = [("persistentvolumeclaims", ONE), ("requests.storage", 10 * GI)];
        let classless = json!({"spec": {"resources": {"requests": {"storage": "10Gi"}}}});
        assert_eq!(amounts(&classless), owned(&plain));
        let by_class = |class: &str| {
            let name = |of: &str| format!("{class}.storageclass.storage.k8s.io/{of}");
            let mut all = owned(&plain);
            all.push((name("persistentvolumeclaims"), ONE));
            all.push((name("requests.storage"), 10 * GI));
            all.sort();
            all
        };
        assert_eq!(amounts(&json!({"spec": spec})), by_class("gold"));
        let annotated = |class: &str| {
            let annotations = json!({"volume.beta.kubernetes.io/storage-class": class, "other": "x"});
            amounts(&json!({"metadata": {"annotations": annotations}, "spec": spec}))
        };
        assert_eq!(annotated("bronze"), by_class("bronze"));
        assert_eq!(annotated(""), owned(&plain));
    }

    #[test]
    fn storage_is_whole_bytes() {
        let claim = json!({"spec": {"resources": {"requests": {"storage": "100m"}}}});
        assert_eq!(amounts(&claim), owned(&[("persistentvolumeclaims", ONE), ("requests.storage", ONE)]));
    }

    #[test]
    fn what_an_expansion_has_set_aside_counts_if_it_is_more() {
        let storage = |requests: Value, allocated: Value| {
            let claim = json!({"spec": {"resources": {"requests": requests}},
                "status": {"allocatedResources": allocated}});
            amounts(&claim).into_iter().find(|(name, _)| name == "requests.storage").map(|(_, amount)| amount)
        };
        for (asked, allocated, expected) in [
            (json!({"storage": "10Gi"}), json!({"storage": "20Gi"}), Some(20 * GI)),
            (json!({"storage": "10Gi"}), json!({"storage": "5Gi"}), Some(10 * GI)),
            (json!({"storage": "10Gi"}), Value::Null, Some(10 * GI)),
            (json!({"storage": "1"}), json!({"storage": "1100m"}), Some(2 * ONE)),
            (json!({}), json!({"storage": "5Gi"}), None),
        ] {
            assert_eq!(storage(asked.clone(), allocated.clone()), expected, "{asked} {allocated}");
        }
    }

    #[test]
    fn every_attributes_class_that_it_names_is_its_own() {
        let claim = json!({"spec": {"volumeAttributesClassName": "slow"},
            "status": {"currentVolumeAttributesClassName": "quick",
                "modifyVolumeStatus": {"targetVolumeAttributesClassName": "slow", "status": "Pending"}}});
        let measured = measure(claim.to_string().as_bytes()).unwrap();
        let attributes_classes = vec!["quick".to_owned(), "slow".to_owned()];
        assert_eq!(measured.scopes, Scopes::Volume { attributes_classes });
        let none = measure(br#"{"spec": {"volumeAttributesClassName": ""}}"#).unwrap();
        assert_eq!(none.scopes, Scopes::Volume { attributes_classes: Vec::new() });
    }

    #[test]
    fn wrong_storage_is_an_error() {
        let error = measure(br#"{"spec": {"resources": {"requests": {"storage": "-1Gi"}}}}"#).unwrap_err();
        assert_eq!(
            error.to_string().split(" at ").next(),
            Some("`spec.resources.requests.storage`: `-1Gi` is negative")
        );
    }
}
