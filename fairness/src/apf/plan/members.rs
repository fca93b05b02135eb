//! Who acts for each tenant.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::{Class, Inputs, Tenant};
use super::{PlaceKind, Warning, names};
use crate::apf::objects::Subject;

/// How many bytes of subjects one FlowSchema has at most: a third of what etcd takes in one request.
pub const MAX_SUBJECT_BYTES: usize = 512 * 1024;

/// What a rule takes beside its subjects, in bytes.
pub(super) const RULE_BYTES: usize = 512;

/// A tenant with its class and subjects.
pub(super) struct Member<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) class: &'a Class,
    /// Its namespaces, as far as there can be such.
    pub(super) namespaces: BTreeSet<&'a str>,
    /// In order, each once, in chunks of at most [`MAX_SUBJECT_BYTES`].
    pub(super) chunks: Vec<Vec<Subject>>,
}

/// The tenants that have subjects, by name.
pub(super) fn members<'a>(inputs: &'a Inputs, warnings: &mut Vec<Warning>) -> Vec<Member<'a>> {
    let classes: BTreeMap<&str, &Class> =
        inputs.classes.iter().map(|class| (class.name.as_str(), class)).collect();
    let mut tenants: Vec<&Tenant> = inputs.tenants.iter().collect();
    tenants.sort_by(|one, other| one.name.cmp(&other.name));
    let mut members = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let name = || tenant.name.clone();
        let known = classes.get(tenant.class.as_str());
        if known.is_none() {
            warnings.push(Warning::UnknownClass { tenant: name(), class: tenant.class.clone() });
        }
        // The default class is there: the inputs were checked.
        let Some(class) = known.or_else(|| classes.get(inputs.default_class.as_str())) else { continue };
        let subjects = subjects(tenant, warnings);
        let chunks = chunks(subjects);
        match chunks.len() {
            0 => warnings.push(Warning::NoSubject { tenant: name() }),
            1 => {}
            parts => warnings.push(Warning::Split { tenant: name(), parts }),
        }
        if !chunks.is_empty() {
            let namespaces =
                tenant.namespaces.iter().map(String::as_str).filter(|name| names::is_label(name));
            members.push(Member { tenant, class, namespaces: namespaces.collect(), chunks });
        }
    }
    members
}

/// Who acts for a tenant. A subject that the server would not take would keep the whole FlowSchema out, others in it
/// too.
fn subjects(tenant: &Tenant, warnings: &mut Vec<Warning>) -> BTreeSet<Subject> {
    let mut subjects = BTreeSet::new();
    let mut reserved = |subject: &str| {
        warnings.push(Warning::ReservedSubject { tenant: tenant.name.clone(), subject: subject.to_owned() });
    };
    for user in &tenant.users {
        if is_reserved(user, "system:serviceaccount:") {
            reserved(user);
        } else {
            subjects.insert(Subject::user(user));
        }
    }
    for group in &tenant.groups {
        if is_reserved(group, "system:serviceaccounts:") {
            reserved(group);
        } else {
            subjects.insert(Subject::group(group));
        }
    }
    let all = tenant.namespaces.iter().map(|namespace| (namespace, "*"));
    let some = tenant.accounts.iter().map(|account| (&account.namespace, account.name.as_str()));
    for (number, (namespace, name)) in all.chain(some).enumerate() {
        let of_namespace = number < tenant.namespaces.len();
        if names::is_label(namespace) && (of_namespace || names::is_subdomain(name)) {
            subjects.insert(Subject::service_account(namespace, name));
        } else {
            let subject = format!("{namespace}/{name}");
            warnings.push(Warning::InvalidAccount { tenant: tenant.name.clone(), account: subject });
        }
    }
    subjects
}

/// Whether a name stands for everybody, for nobody, or for a part of the cluster itself.
fn is_reserved(name: &str, accounts: &str) -> bool {
    let of_account = name.strip_prefix(accounts).is_some_and(|rest| !rest.is_empty());
    name.is_empty() || name == "*" || (name.starts_with("system:") && !of_account)
}

/// The tenants that have a subject together, for each such subject.
pub(super) fn shared_subjects(members: &[Member<'_>], inputs: &Inputs) -> Vec<Warning> {
    let mut holders: BTreeMap<&Subject, Vec<(PlaceKind, &str)>> = BTreeMap::new();
    for (member, kind) in placed(members, inputs.bounds.dedicated) {
        for subject in member.chunks.iter().flatten() {
            holders.entry(subject).or_default().push((kind, &member.tenant.name));
        }
    }
    holders
        .into_iter()
        .filter(|(_, tenants)| tenants.len() > 1)
        .map(|(subject, mut tenants)| {
            tenants.sort_unstable();
            let tenants = tenants.into_iter().map(|(_, tenant)| tenant.to_owned()).collect();
            Warning::SharedSubject { subject: subject.to_string(), tenants }
        })
        .collect()
}

/// Where each tenant goes: the first ones, those of several namespaces before others, to places of their own.
pub(super) fn placed<'a, 'b>(
    members: &'b [Member<'a>],
    dedicated: usize,
) -> Vec<(&'b Member<'a>, PlaceKind)> {
    let mut order: Vec<&Member<'_>> = members.iter().collect();
    // Stable: by name within either half.
    order.sort_by_key(|member| member.namespaces.len() == 1);
    let place = |(at, member): (usize, &'b Member<'a>)| {
        let kind = match member.namespaces.len() {
            _ if at < dedicated => PlaceKind::Dedicated,
            1 => PlaceKind::Shared,
            _ => PlaceKind::Pooled,
        };
        (member, kind)
    };
    order.into_iter().enumerate().map(place).collect()
}

fn chunks(subjects: BTreeSet<Subject>) -> Vec<Vec<Subject>> {
    let mut chunks: Vec<Vec<Subject>> = Vec::new();
    let mut room = 0_usize;
    for subject in subjects {
        let size = size(&subject);
        match chunks.last_mut() {
            Some(chunk) if size <= room => chunk.push(subject),
            Some(_) | None => {
                room = MAX_SUBJECT_BYTES.saturating_sub(RULE_BYTES);
                chunks.push(vec![subject]);
            }
        }
        room = room.saturating_sub(size);
    }
    chunks
}

/// How many bytes of JSON a subject takes at most.
pub(super) fn size(subject: &Subject) -> usize {
    let text = |text: &str| -> usize {
        text.bytes().map(|byte| if byte < b' ' || byte == b'"' || byte == b'\\' { 6 } else { 1 }).sum()
    };
    let names = match subject {
        Subject::User { user } => text(&user.name),
        Subject::Group { group } => text(&group.name),
        Subject::ServiceAccount { service_account: account } => {
            text(&account.namespace).saturating_add(text(&account.name))
        }
    };
    names.saturating_add(80)
}
