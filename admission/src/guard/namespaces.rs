//! Whose a namespace is, what it may be called, and how many there may be.

use std::collections::BTreeMap;

use model::{Code, MetadataRules, ObjectMeta, Operation, POD_SECURITY_LABELS, Request, TENANT_LABEL};
use serde::Deserialize;

use super::edits::Edit;
use super::metadata::parts;
use super::{Question, Wall};

/// What labels of Bailey's begin with.
const OWN_LABELS: &str = "bailey.dev/";
/// What names of Kubernetes and Bailey begin with.
const RESERVED: [&str; 3] = ["kube-", "bailey-", "openshift-"];

/// What a namespace gets which a tenant's owner creates: the label that says whose it is, those that are walls,
/// and the labels and annotations of the profile that it does not have.
///
/// # Errors
/// When the owner of several tenants did not say for which of them.
pub(super) fn edits(question: &Question<'_>) -> Result<Vec<Edit>, Wall> {
    let request = question.request;
    let creates =
        request.operation == Operation::Create && request.is_namespace() && request.sub_resource.is_empty();
    if !creates || question.asker.administrator || question.asker.controller {
        return Ok(Vec::new());
    }
    let Some(meta) = metadata(request.object.as_deref()) else { return Ok(Vec::new()) };
    let owned: Vec<&str> = question.asker.owned().collect();
    let tenant = match (meta.labels.get(TENANT_LABEL), owned.as_slice()) {
        (Some(named), _) => named.as_str(),
        (None, []) => return Ok(Vec::new()),
        (None, [only]) => only,
        (None, several) => by_prefix(question, several, name_of(request, &meta))?,
    };
    let Some(tenant) = question.tenants.tenant(tenant) else { return Ok(Vec::new()) };
    let rules = || tenant.isolation.rules.iter();
    let missing = rules().flat_map(|rules| &rules.labels.defaults);
    let missing = missing.filter(|(name, _)| !meta.labels.contains_key(*name));
    let mut labels: BTreeMap<String, String> =
        missing.map(|(name, value)| (name.clone(), value.clone())).collect();
    labels.extend(tenant.isolation.pod_security.clone());
    labels.insert(TENANT_LABEL.to_owned(), tenant.name.clone());
    labels.retain(|name, value| meta.labels.get(name) != Some(value));
    let found = annotations(request.object.as_deref());
    let notes = rules().flat_map(|rules| &rules.annotations.defaults);
    let notes: BTreeMap<&String, &String> = notes.filter(|(name, _)| !found.contains_key(*name)).collect();
    let labels = labels.iter().map(|(name, value)| Edit::set(["metadata", "labels", name], value.as_str()));
    let notes =
        notes.iter().map(|(name, value)| Edit::set(["metadata", "annotations", name], value.as_str()));
    Ok(labels.chain(notes).collect())
}

/// The one of several tenants whose prefix the name has.
fn by_prefix<'a>(question: &Question<'_>, several: &[&'a str], name: &str) -> Result<&'a str, Wall> {
    let prefix =
        |tenant: &str| question.tenants.tenant(tenant).map(|tenant| tenant.namespaces.prefix.as_str());
    let fits =
        |tenant: &&&str| prefix(tenant).is_some_and(|prefix| !prefix.is_empty() && name.starts_with(prefix));
    let fitting: Vec<&&str> = several.iter().filter(fits).collect();
    match fitting.as_slice() {
        [one] => Ok(**one),
        _ => Err(Wall {
            rule: "",
            code: Code::TenantAmbiguous,
            message: format!(
                "you own the tenants `{}`: say for which of them the namespace is, with the label `{TENANT_LABEL}`",
                several.join("`, `")
            ),
        }),
    }
}

/// Only an owner makes a namespace a tenant's own, only when it is created; nobody takes it away.
pub(super) fn label_is_taken(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let wanted = tenant_label(request.object.as_deref());
    let had = tenant_label(request.old_object.as_deref());
    if request.operation == Operation::Update {
        let shown =
            |label: &Option<String>| label.as_deref().map_or("absent".to_owned(), |name| format!("`{name}`"));
        return (wanted != had).then(|| {
            format!(
                "the label `{TENANT_LABEL}` is {}, and cannot become {}: only an administrator gives a namespace \
                 to another tenant",
                shown(&had),
                shown(&wanted)
            )
        });
    }
    match wanted {
        Some(tenant) if !question.asker.owns(&tenant) => {
            Some(format!("you are no owner of the tenant `{tenant}`, and cannot create a namespace for it"))
        }
        // The mutating phase sets it; whoever comes here without it went around that.
        None if question.asker.owned().next().is_some() => Some(format!(
            "the namespace has no label `{TENANT_LABEL}`; owners of a tenant create namespaces for it"
        )),
        _ => None,
    }
}

/// Labels that are walls are the profile's, in a tenant's namespace; those of Bailey nobody sets.
pub(super) fn wall_labels_differ(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let walls = |object: Option<&[u8]>| {
        let mut labels = metadata(object).unwrap_or_default().labels;
        labels.retain(|name, _| name.starts_with(POD_SECURITY_LABELS) || name.starts_with(OWN_LABELS));
        labels.remove(TENANT_LABEL);
        labels
    };
    let (new, old) = (walls(request.object.as_deref()), walls(request.old_object.as_deref()));
    let tenant = tenant_label(request.object.as_deref()).and_then(|name| question.tenants.tenant(&name));
    let right = match request.operation {
        Operation::Create => tenant.map(|tenant| tenant.isolation.pod_security.clone()).unwrap_or_default(),
        _ => old,
    };
    let differs = |name: &&String| {
        let walled = tenant.is_some() || name.starts_with(OWN_LABELS);
        walled && new.get(*name) != right.get(*name)
    };
    let name = new.keys().chain(right.keys()).find(differs)?;
    Some(match right.get(name) {
        Some(value) => format!("the label `{name}` is a wall, and stays `{value}`"),
        None => format!("the label `{name}` is not yours to set, leave it out"),
    })
}

/// A namespace has the labels and annotations that its profile requires, and none that it forbids.
pub(super) fn has_wrong_metadata(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let read = |object: Option<&[u8]>| {
        (metadata(object).map(|meta| meta.labels).unwrap_or_default(), annotations(object))
    };
    let (new, old) = (read(request.object.as_deref()), read(request.old_object.as_deref()));
    let tenant = question.tenants.tenant(new.0.get(TENANT_LABEL)?)?;
    tenant.isolation.rules.iter().find_map(|rules| {
        let wrong = wrong_metadata("label", &rules.labels, &new.0, &old.0)
            .or_else(|| wrong_metadata("annotation", &rules.annotations, &new.1, &old.1))?;
        Some(format!("{wrong} ({})", rules.source))
    })
}

fn wrong_metadata(
    what: &str,
    rules: &MetadataRules,
    new: &BTreeMap<String, String>,
    old: &BTreeMap<String, String>,
) -> Option<String> {
    let missing = rules
        .required
        .iter()
        .find(|(name, pattern)| !new.get(*name).is_some_and(|value| pattern.matches(value)));
    if let Some((name, pattern)) = missing {
        let found = new.get(name).map_or("is missing".to_owned(), |value| format!("is `{value}`"));
        return Some(format!("the {what} `{name}` {found}: it has to match {}", pattern.shown()));
    }
    let names = new.keys().chain(old.keys());
    let mut changed = names.filter(|name| new.get(*name) != old.get(*name));
    let forbidden =
        changed.find(|name| rules.forbidden.matches(name) && !rules.defaults.contains_key(*name))?;
    Some(format!("the {what} `{forbidden}` is not yours to set, leave it as it is"))
}

/// An owner reference would let another object's deletion delete the namespace.
pub(super) fn has_new_owner_references(question: &Question<'_>) -> Option<String> {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct References {
        owner_references: Option<Vec<serde_json::Value>>,
    }
    let references = |object: Option<&[u8]>| parts::<References>(object).owner_references.unwrap_or_default();
    let request = question.request;
    let (new, old) = (references(request.object.as_deref()), references(request.old_object.as_deref()));
    (new != old)
        .then(|| "metadata.ownerReferences of a namespace is not yours to set, leave it out".to_owned())
}

/// A tenant's namespaces have its prefix, and no name that Kubernetes keeps for itself.
pub(super) fn has_a_foreign_name(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let meta = metadata(request.object.as_deref())?;
    let tenant = question.tenants.tenant(meta.labels.get(TENANT_LABEL)?)?;
    let name = name_of(request, &meta);
    if let Some(reserved) = RESERVED.iter().find(|reserved| name.starts_with(**reserved)) {
        return Some(format!("the name `{name}` begins with `{reserved}`, which is reserved"));
    }
    let prefix = &tenant.namespaces.prefix;
    (!name.starts_with(prefix.as_str())).then(|| {
        format!(
            "the name `{name}` does not begin with `{prefix}`, as names of the tenant `{}` do: `{prefix}{name}` would",
            tenant.name
        )
    })
}

/// A suspended tenant keeps what it has and gets nothing new.
pub(super) fn grows_while_suspended(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let object = request.object.as_deref().filter(|_| request.is_namespace());
    let name =
        tenant_label(object).or_else(|| question.tenants.name_for(&request.namespace).map(str::to_owned))?;
    let tenant = question.tenants.tenant(&name)?;
    tenant.suspended.then(|| {
        format!("the tenant `{name}` is suspended: what runs goes on, and nothing new is created until it is resumed")
    })
}

/// The tenant that an object's label names.
pub(super) fn tenant_label(object: Option<&[u8]>) -> Option<String> {
    metadata(object)?.labels.remove(TENANT_LABEL)
}

fn annotations(object: Option<&[u8]>) -> BTreeMap<String, String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Annotations {
        annotations: Option<BTreeMap<String, String>>,
    }
    parts::<Annotations>(object).annotations.unwrap_or_default()
}

fn metadata(object: Option<&[u8]>) -> Option<ObjectMeta> {
    Request::metadata(object?).ok()
}

/// The name, or what the API server will make it from.
fn name_of<'a>(request: &'a Request, meta: &'a ObjectMeta) -> &'a str {
    [request.name.as_str(), &meta.name]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or(&meta.generate_name)
}
