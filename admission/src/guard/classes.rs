//! Classes that objects name: of storage, Ingresses, Gateways, Pods and devices.

use model::{ClassKind, Operation, Rules};
use serde_json::Value;

use super::Question;
use super::edits::Edit;
use super::pods::{PodSpec, placement};

/// PriorityClasses with which Kubernetes' own Pods drive out all others.
const SYSTEM_PRIORITIES: &str = "system-";
/// The annotation with which claims named their class once; it still counts before the field.
const OLD_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// The annotation with which Ingresses named their class once; controllers still read it.
const OLD_INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

/// A claim names an allowed StorageClass. The empty name, which takes any volume without a class, is one too.
pub(super) fn is_foreign_storage(question: &Question<'_>) -> Option<String> {
    refuse(question, ClassKind::Storage, &storage_classes(question.object()?))
}

/// The classes that a claim names: the old annotation, where there is one, is what Kubernetes goes by.
pub(super) fn storage_classes(claim: &Value) -> Vec<&str> {
    let old = claim.pointer("/metadata/annotations").and_then(|notes| notes.get(OLD_STORAGE_CLASS));
    [claim.pointer("/spec/storageClassName"), old].into_iter().flatten().filter_map(Value::as_str).collect()
}

/// An Ingress names an allowed IngressClass.
pub(super) fn is_foreign_ingress(question: &Question<'_>) -> Option<String> {
    let object = question.object()?;
    let old = old_class(Some(object));
    let class = text(object, "/spec/ingressClassName");
    let named: Vec<&str> = class.as_deref().into_iter().chain(old).collect();
    refuse(question, ClassKind::Ingress, &named)
}

fn old_class(object: Option<&Value>) -> Option<&str> {
    object?.pointer("/metadata/annotations")?.get(OLD_INGRESS_CLASS)?.as_str()
}

/// A Gateway names an allowed GatewayClass.
pub(super) fn is_foreign_gateway(question: &Question<'_>) -> Option<String> {
    let class = text(question.object()?, "/spec/gatewayClassName")?;
    refuse(question, ClassKind::Gateway, &[class.as_str()])
}

/// A claim for devices names allowed DeviceClasses.
pub(super) fn is_foreign_device(question: &Question<'_>) -> Option<String> {
    let object = question.object()?;
    let requests = ["/spec/devices/requests", "/spec/spec/devices/requests"];
    let requests = requests.into_iter().filter_map(|path| object.pointer(path)?.as_array()).flatten();
    let names = requests.flat_map(|request| {
        let one = [request.get("deviceClassName"), request.pointer("/exactly/deviceClassName")];
        let rest = request.get("firstAvailable").and_then(Value::as_array).into_iter().flatten();
        one.into_iter().chain(rest.map(|sub| sub.get("deviceClassName"))).flatten()
    });
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    refuse(question, ClassKind::Device, &names)
}

/// A Pod names an allowed PriorityClass, and none of Kubernetes' own.
pub(super) fn is_foreign_priority(question: &Question<'_>) -> Option<String> {
    let class = question.pod()?.priority_class_name.as_deref().filter(|class| !class.is_empty())?;
    let system = question.rules().find(|rules| {
        let named = rules.classes.get(&ClassKind::Priority).is_some_and(|rule| rule.allowed.is_some());
        class.starts_with(SYSTEM_PRIORITIES) && !named
    });
    if let Some(rules) = system {
        let text = format!(
            "the PriorityClass `{class}` is for Kubernetes' own Pods, leave it out ({})",
            rules.source
        );
        return Some(text);
    }
    refuse(question, ClassKind::Priority, &[class])
}

/// A Pod names an allowed RuntimeClass.
pub(super) fn is_foreign_runtime(question: &Question<'_>) -> Option<String> {
    let class = question.pod()?.runtime_class_name.as_deref().filter(|class| !class.is_empty())?;
    refuse(question, ClassKind::Runtime, &[class])
}

/// What is wrong with the first of the named classes that is not allowed.
fn refuse(question: &Question<'_>, kind: ClassKind, named: &[&str]) -> Option<String> {
    question.rules().find_map(|rules| {
        let allowed = rules.classes.get(&kind)?.allowed.as_ref()?;
        let class = named.iter().find(|class| !allowed.matches(class))?;
        let (kind, shown) = (kind.as_str(), allowed.shown());
        Some(format!("the {kind} `{class}` is not allowed, use {shown} ({})", rules.source))
    })
}

fn text(object: &Value, path: &str) -> Option<String> {
    object.pointer(path)?.as_str().map(str::to_owned)
}

/// What objects get that name no class, and Pods that do not select nodes.
pub(super) fn defaults(question: &Question<'_>) -> Vec<Edit> {
    let request = question.request;
    if request.operation != Operation::Create || !request.sub_resource.is_empty() {
        return Vec::new();
    }
    // The nearest rules first: those above are held against it afterwards.
    let Some(rules) = question.rules().next() else { return Vec::new() };
    let object = || question.object();
    match (request.resource.group.as_str(), request.resource.resource.as_str()) {
        ("", "persistentvolumeclaims") => field(rules, ClassKind::Storage, object, "storageClassName"),
        ("networking.k8s.io", "ingresses") if old_class(object()).is_none() => {
            field(rules, ClassKind::Ingress, object, "ingressClassName")
        }
        ("", "pods") => question.pod().map(|pod| of_pod(rules, pod)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn field<'a>(
    rules: &Rules,
    kind: ClassKind,
    object: impl FnOnce() -> Option<&'a Value>,
    name: &str,
) -> Vec<Edit> {
    let default = rules.classes.get(&kind).and_then(|rule| rule.default.as_deref());
    let Some(default) = default else { return Vec::new() };
    let named = object()
        .is_some_and(|object| object.pointer(&format!("/spec/{name}")).is_some_and(|class| !class.is_null()));
    if named { Vec::new() } else { vec![Edit::set(["spec", name], default)] }
}

fn of_pod(rules: &Rules, pod: &PodSpec) -> Vec<Edit> {
    let mut edits = placement::missing_selectors(pod, &rules.scheduling);
    let default = |kind: ClassKind, named: &Option<String>| {
        let default = rules.classes.get(&kind).and_then(|rule| rule.default.as_deref());
        default.filter(|_| named.as_deref().is_none_or(str::is_empty))
    };
    if let Some(class) = default(ClassKind::Runtime, &pod.runtime_class_name) {
        edits.push(Edit::set(["spec", "runtimeClassName"], class));
    }
    if let Some(class) = default(ClassKind::Priority, &pod.priority_class_name) {
        edits.push(Edit::set(["spec", "priorityClassName"], class));
        // The API server worked these out without the class, and does so again.
        edits.extend([Edit::remove(["spec", "priority"]), Edit::remove(["spec", "preemptionPolicy"])]);
    }
    edits
}
