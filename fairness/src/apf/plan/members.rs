//! Who acts for each tenant, and where.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::{Account, Bounds, Class, Inputs, Tenant};
use super::{PlaceKind, Warning, names};
use crate::apf::objects::Subject;

/// How many bytes of subjects and namespaces one FlowSchema has at most: a third of what etcd takes in one request.
pub const MAX_SUBJECT_BYTES: usize = 512 * 1024;

/// What a rule takes beside them, in bytes.
const RULE_BYTES: usize = 512;

/// A tenant with its class and those who act for it.
pub(super) struct Member<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) class: &'a Class,
    /// Its namespaces, as far as there can be such: at least one.
    pub(super) namespaces: BTreeSet<&'a str>,
    /// Whom it names: they act for it in its namespaces.
    named: BTreeSet<Subject>,
    /// The service accounts of its namespaces: they act for it wherever they ask.
    accounts: BTreeSet<Subject>,
}

/// Requests of a tenant that one rule matches, in at most [`MAX_SUBJECT_BYTES`].
pub(super) struct Reach {
    /// Who asks: in order, each once.
    pub(super) subjects: Vec<Subject>,
    /// About which namespaces; `None` where it does not matter.
    pub(super) namespaces: Option<Vec<String>>,
}

impl Reach {
    /// How many bytes its rule takes at most.
    pub(super) fn size(&self) -> usize {
        let namespaces: usize = self.namespaces.iter().flatten().map(|name| name_size(name)).sum();
        self.subjects.iter().map(size).sum::<usize>().saturating_add(namespaces).saturating_add(RULE_BYTES)
    }
}

impl Member<'_> {
    /// All requests that are its own.
    pub(super) fn all(&self) -> Vec<Reach> {
        let mut all = reaches(&self.namespaces, &self.named);
        all.extend(self.anywhere());
        all
    }

    /// Those about its namespaces.
    pub(super) fn inside(&self) -> Vec<Reach> {
        reaches(&self.namespaces, &self.named.union(&self.accounts).cloned().collect())
    }

    /// Those of its service accounts.
    pub(super) fn anywhere(&self) -> Vec<Reach> {
        let chunks =
            chunks(self.accounts.iter().cloned(), MAX_SUBJECT_BYTES.saturating_sub(RULE_BYTES), size);
        chunks.into_iter().map(|subjects| Reach { subjects, namespaces: None }).collect()
    }

    /// How many subjects its FlowSchemas have for it.
    pub(super) fn subjects(&self, kind: PlaceKind) -> usize {
        let (named, accounts) = (self.named.len(), self.accounts.len());
        let once = match kind {
            PlaceKind::Dedicated | PlaceKind::Pooled => {
                // Once for nearly every tenant.
                let times = namespace_chunks(self.namespaces.iter().copied()).len();
                named.saturating_mul(times).saturating_add(accounts)
            }
            // Its accounts in its namespace, and elsewhere.
            PlaceKind::Shared => named.saturating_add(accounts.saturating_mul(2)),
            PlaceKind::Open => 0,
        };
        // For lists and for the rest.
        once.saturating_mul(2)
    }
}

/// What some ask about namespaces.
fn reaches(namespaces: &BTreeSet<&str>, subjects: &BTreeSet<Subject>) -> Vec<Reach> {
    let mut found = Vec::new();
    for namespaces in namespace_chunks(namespaces.iter().copied()) {
        let taken: usize = namespaces.iter().map(|name| name_size(name)).sum();
        let room = MAX_SUBJECT_BYTES.saturating_sub(RULE_BYTES).saturating_sub(taken);
        for subjects in chunks(subjects.iter().cloned(), room, size) {
            let namespaces = Some(namespaces.iter().map(|name| (*name).to_owned()).collect());
            found.push(Reach { subjects, namespaces });
        }
    }
    found
}

/// The tenants that have namespaces, by name: without any there is nothing to tell them by.
pub(super) fn members<'a>(inputs: &'a Inputs, warnings: &mut Vec<Warning>) -> Vec<Member<'a>> {
    let classes: BTreeMap<&str, &Class> =
        inputs.classes.iter().map(|class| (class.name.as_str(), class)).collect();
    let homes: BTreeSet<&str> =
        inputs.tenants.iter().flat_map(|tenant| &tenant.namespaces).map(String::as_str).collect();
    let mut tenants: Vec<&Tenant> = inputs.tenants.iter().collect();
    tenants.sort_by(|one, other| one.name.cmp(&other.name));
    let mut members = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let known = classes.get(tenant.class.as_str());
        if known.is_none() {
            let (tenant, class) = (tenant.name.clone(), tenant.class.clone());
            warnings.push(Warning::UnknownClass { tenant, class });
        }
        // The default class is there: the inputs were checked.
        let Some(class) = known.or_else(|| classes.get(inputs.default_class.as_str())) else { continue };
        let named = named(tenant, &homes, warnings);
        let mut namespaces = BTreeSet::new();
        for namespace in &tenant.namespaces {
            if names::is_label(namespace) {
                namespaces.insert(namespace.as_str());
            } else {
                warnings.push(invalid(tenant, namespace, "*"));
            }
        }
        let accounts = namespaces.iter().map(|namespace| Subject::service_account(namespace, "*")).collect();
        if !namespaces.is_empty() {
            members.push(Member { tenant, class, namespaces, named, accounts });
        }
    }
    members
}

/// Whom a tenant names. A subject that the server would not take would keep the whole FlowSchema out, others in it too.
fn named(tenant: &Tenant, homes: &BTreeSet<&str>, warnings: &mut Vec<Warning>) -> BTreeSet<Subject> {
    let users = tenant.users.iter().map(|user| (user, Subject::user(user)));
    let groups = tenant.groups.iter().map(|group| (group, Subject::group(group)));
    let mut named = BTreeSet::new();
    for (name, subject) in users.chain(groups) {
        if is_reserved(name) {
            let (tenant, subject) = (tenant.name.clone(), name.clone());
            warnings.push(Warning::ReservedSubject { tenant, subject });
        } else {
            named.insert(subject);
        }
    }
    for Account { namespace, name } in &tenant.accounts {
        if !names::is_label(namespace) || !names::is_subdomain(name) {
            warnings.push(invalid(tenant, namespace, name));
        } else if !homes.contains(namespace.as_str()) {
            named.insert(Subject::service_account(namespace, name));
        }
        // One that lives in a tenant's namespace acts for that tenant, whoever else names it.
    }
    named
}

fn invalid(tenant: &Tenant, namespace: &str, name: &str) -> Warning {
    Warning::InvalidAccount { tenant: tenant.name.clone(), account: format!("{namespace}/{name}") }
}

/// Whether a name stands for everybody, for nobody, or for a part of the cluster itself.
fn is_reserved(name: &str) -> bool {
    name.is_empty() || name == "*" || name.starts_with("system:")
}

/// Where each tenant goes: the first ones, those of several namespaces before others, to places of their own, the next
/// ones to shards, and those whose subjects would be too many to where they need none.
pub(super) fn placed<'a, 'b>(members: &'b [Member<'a>], bounds: Bounds) -> Vec<(&'b Member<'a>, PlaceKind)> {
    let mut order: Vec<&Member<'_>> = members.iter().collect();
    // Stable: by name within either half.
    order.sort_by_key(|member| member.namespaces.len() == 1);
    let place = |(at, member): (usize, &'b Member<'a>)| {
        let kind = match member.namespaces.len() {
            _ if at < bounds.dedicated => PlaceKind::Dedicated,
            1 => PlaceKind::Shared,
            _ => PlaceKind::Pooled,
        };
        (member, kind, member.subjects(kind))
    };
    let mut placed: Vec<_> = order.into_iter().enumerate().map(place).collect();
    // Whoever has many subjects is the first to have no room, not those behind.
    placed.sort_by_key(|(member, kind, subjects)| {
        (*kind != PlaceKind::Dedicated, *subjects, &member.tenant.name)
    });
    let mut room = bounds.subjects;
    let mut fit = |(member, kind, subjects): (&'b Member<'a>, PlaceKind, usize)| {
        let left = room.checked_sub(subjects);
        room = left.unwrap_or(room);
        (member, if left.is_some() { kind } else { PlaceKind::Open })
    };
    placed.into_iter().map(&mut fit).collect()
}

// --- sizes ---

/// Items in order, in chunks of at most so many bytes; a larger item is a chunk of its own.
pub(super) fn chunks<T>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    size: impl Fn(&T) -> usize,
) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut room = 0_usize;
    for item in items {
        let size = size(&item);
        match chunks.last_mut() {
            Some(chunk) if size <= room => chunk.push(item),
            Some(_) | None => {
                room = most;
                chunks.push(vec![item]);
            }
        }
        room = room.saturating_sub(size);
    }
    chunks
}

/// Namespaces in chunks that leave half of a FlowSchema to subjects.
pub(super) fn namespace_chunks<'a>(namespaces: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    chunks(namespaces, MAX_SUBJECT_BYTES / 2, |name| name_size(name))
}

/// How many bytes of JSON the name of a namespace takes.
fn name_size(name: &str) -> usize {
    name.len().saturating_add(3)
}

/// How many bytes of JSON a subject takes at most.
fn size(subject: &Subject) -> usize {
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
