//! From tenants to FlowSchemas.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::{Class, Inputs, PlanFault, Tenant};
use super::{Place, PlaceKind, Plan, Warning, names};
use crate::apf::objects::{
    DistinguisherMethod, FlowSchema, FlowSchemaSpec, NonResourceRule, PolicyRules, Reference, ResourceRule,
    Subject,
};

/// How many bytes of subjects one FlowSchema has at most: a third of what etcd takes in one request.
pub const MAX_SUBJECT_BYTES: usize = 512 * 1024;

/// Before all tenants, behind the cluster's own controllers (800).
const OWN: u32 = 850;
/// Of equal numbers the first by name wins, so a number a kind is enough, and none moves when tenants come and go.
/// Behind the cluster's own (below 1,000), before `service-accounts` (9,000).
const DEDICATED: u32 = 2_000;
const SHARED: u32 = 3_000;
const POOLED: u32 = 4_000;
/// Lists are tried just before the rest.
const LISTS_BEFORE: u32 = 100;

/// A tenant with its class and subjects.
struct Member<'a> {
    tenant: &'a Tenant,
    class: &'a Class,
    /// In order, each once, in chunks of at most [`MAX_SUBJECT_BYTES`].
    chunks: Vec<Vec<Subject>>,
}

/// Makes the plan.
///
/// # Errors
/// Where a class cannot be a priority level, or names are not unique.
pub fn plan(inputs: &Inputs) -> Result<Plan, PlanFault> {
    inputs.check()?;
    let mut plan = Plan::default();
    let members = members(inputs, &mut plan.warnings);
    plan.warnings.extend(shared_subjects(&members, inputs));
    plan.levels = inputs
        .classes
        .iter()
        .flat_map(|class| [class.level(), class.lists_level()])
        .map(|level| (&level).into())
        .collect();
    plan.schemas.extend(own(inputs, &mut plan.warnings));
    let mut shards: BTreeMap<(PlaceKind, &str, u32), Vec<&Member<'_>>> = BTreeMap::new();
    for (member, kind) in placed(&members, inputs.bounds.dedicated) {
        let name = &member.tenant.name;
        let shard = match kind {
            PlaceKind::Dedicated => 0,
            PlaceKind::Shared | PlaceKind::Pooled => names::shard(name, inputs.bounds.shards),
        };
        match kind {
            PlaceKind::Dedicated => plan.schemas.extend(dedicated(member)),
            PlaceKind::Shared => {
                shards.entry((kind, &member.class.name, shard)).or_default().push(member);
                // What is not about its namespace.
                shards.entry((PlaceKind::Pooled, &member.class.name, shard)).or_default().push(member);
            }
            PlaceKind::Pooled => {
                plan.warnings.push(Warning::Pooled { tenant: name.clone() });
                shards.entry((kind, &member.class.name, shard)).or_default().push(member);
            }
        }
        plan.places.insert(name.clone(), Place { kind, class: member.class.name.clone(), shard });
    }
    for ((kind, _, shard), members) in shards {
        plan.schemas.extend(sharded(kind, shard, &members));
    }
    plan.levels.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    plan.schemas.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    Ok(plan)
}

// --- who ---

/// The tenants that have subjects, by name.
fn members<'a>(inputs: &'a Inputs, warnings: &mut Vec<Warning>) -> Vec<Member<'a>> {
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
        let (subjects, reserved) = subjects(tenant);
        let left_out = |subject| Warning::ReservedSubject { tenant: name(), subject };
        warnings.extend(reserved.into_iter().map(left_out));
        let chunks = chunks(subjects);
        match chunks.len() {
            0 => warnings.push(Warning::NoSubject { tenant: name() }),
            1 => {}
            parts => warnings.push(Warning::Split { tenant: name(), parts }),
        }
        if !chunks.is_empty() {
            members.push(Member { tenant, class, chunks });
        }
    }
    members
}

/// Who acts for a tenant, and the names of those who must not.
fn subjects(tenant: &Tenant) -> (BTreeSet<Subject>, Vec<String>) {
    let mut reserved = Vec::new();
    let mut allowed = BTreeSet::new();
    for user in &tenant.users {
        if is_reserved(user, "system:serviceaccount:") {
            reserved.push(user.clone());
        } else {
            allowed.insert(Subject::user(user));
        }
    }
    for group in &tenant.groups {
        if is_reserved(group, "system:serviceaccounts:") {
            reserved.push(group.clone());
        } else {
            allowed.insert(Subject::group(group));
        }
    }
    let all = tenant.namespaces.iter().map(|namespace| Subject::service_account(namespace, "*"));
    let some = tenant.accounts.iter().map(|one| Subject::service_account(&one.namespace, &one.name));
    allowed.extend(all.chain(some));
    (allowed, reserved)
}

/// Whether a name stands for everybody, for nobody, or for a part of the cluster itself.
fn is_reserved(name: &str, accounts: &str) -> bool {
    let of_account = name.strip_prefix(accounts).is_some_and(|rest| !rest.is_empty());
    name.is_empty() || name == "*" || (name.starts_with("system:") && !of_account)
}

/// The tenants that have a subject together, for each such subject.
fn shared_subjects(members: &[Member<'_>], inputs: &Inputs) -> Vec<Warning> {
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
fn placed<'a, 'b>(members: &'b [Member<'a>], dedicated: usize) -> Vec<(&'b Member<'a>, PlaceKind)> {
    let mut order: Vec<&Member<'_>> = members.iter().collect();
    // Stable: by name within either half.
    order.sort_by_key(|member| distinct(member.tenant) == 1);
    let place = |(at, member): (usize, &'b Member<'a>)| {
        let kind = match distinct(member.tenant) {
            _ if at < dedicated => PlaceKind::Dedicated,
            1 => PlaceKind::Shared,
            _ => PlaceKind::Pooled,
        };
        (member, kind)
    };
    order.into_iter().enumerate().map(place).collect()
}

fn distinct(tenant: &Tenant) -> usize {
    tenant.namespaces.iter().collect::<BTreeSet<_>>().len()
}

// --- FlowSchemas ---

fn own(inputs: &Inputs, warnings: &mut Vec<Warning>) -> Option<FlowSchema> {
    if inputs.own.is_empty() {
        warnings.push(Warning::NoOwnSubject);
        return None;
    }
    let subjects: BTreeSet<Subject> = inputs.own.iter().cloned().collect();
    let rules = everything(subjects.into_iter().collect());
    Some(schema("bailey.own".to_owned(), &inputs.own_level, OWN, None, vec![rules]))
}

/// A tenant's own two, for each part of its subjects.
fn dedicated(member: &Member<'_>) -> Vec<FlowSchema> {
    let (level, lists_level) = (member.class.level().name, member.class.lists_level().name);
    let both = |(part, subjects): (usize, &Vec<Subject>)| {
        let name = |kind| names::of_tenant(kind, &member.tenant.name, part);
        let lists = vec![lists(subjects.clone(), None)];
        let rest = vec![everything(subjects.clone())];
        [
            schema(name("lists"), &lists_level, DEDICATED.saturating_sub(LISTS_BEFORE), None, lists),
            schema(name("tenant"), &level, DEDICATED, None, rest),
        ]
    };
    member.chunks.iter().enumerate().flat_map(both).collect()
}

/// The two of a shard, for each part of its tenants.
fn sharded(kind: PlaceKind, shard: u32, members: &[&Member<'_>]) -> Vec<FlowSchema> {
    let Some(first) = members.first() else { return Vec::new() };
    let class = first.class;
    let (prefix, lists_prefix, precedence, method) = match kind {
        PlaceKind::Shared => ("shared", "shared-lists", SHARED, Some(DistinguisherMethod::ByNamespace)),
        PlaceKind::Dedicated | PlaceKind::Pooled => ("pooled", "pooled-lists", POOLED, None),
    };
    let mut found = Vec::new();
    for (part, rules) in packed(members).into_iter().enumerate() {
        let rule = |only_lists: bool| -> Vec<PolicyRules> {
            let rule = |(tenant, subjects): &(&Tenant, &Vec<Subject>)| {
                let namespace = tenant.namespaces.first().filter(|_| kind == PlaceKind::Shared);
                match (only_lists, namespace) {
                    (true, namespace) => lists((*subjects).clone(), namespace.cloned()),
                    (false, Some(namespace)) => inside((*subjects).clone(), namespace.clone()),
                    (false, None) => everything((*subjects).clone()),
                }
            };
            rules.iter().map(rule).collect()
        };
        let name = |kind| names::of_shard(kind, &class.name, shard, part);
        let before = precedence.saturating_sub(LISTS_BEFORE);
        let lists_level = class.lists_level().name;
        found.push(schema(name(lists_prefix), &lists_level, before, method, rule(true)));
        found.push(schema(name(prefix), &class.level().name, precedence, method, rule(false)));
    }
    found
}

/// Chunks of subjects with their tenant, in parts that fit one FlowSchema each.
fn packed<'a>(members: &[&'a Member<'_>]) -> Vec<Vec<(&'a Tenant, &'a Vec<Subject>)>> {
    let mut parts: Vec<Vec<(&Tenant, &Vec<Subject>)>> = Vec::new();
    let mut room = 0_usize;
    for (tenant, chunk) in members.iter().flat_map(|m| m.chunks.iter().map(|chunk| (m.tenant, chunk))) {
        let size = chunk.iter().map(size).sum::<usize>().saturating_add(RULE_BYTES);
        match parts.last_mut() {
            Some(part) if size <= room => part.push((tenant, chunk)),
            Some(_) | None => {
                room = MAX_SUBJECT_BYTES;
                parts.push(vec![(tenant, chunk)]);
            }
        }
        room = room.saturating_sub(size);
    }
    parts
}

/// What a rule takes beside its subjects, in bytes.
const RULE_BYTES: usize = 512;

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

// --- rules ---

fn schema(
    name: String,
    level: &str,
    precedence: u32,
    method: Option<DistinguisherMethod>,
    rules: Vec<PolicyRules>,
) -> FlowSchema {
    let spec = FlowSchemaSpec {
        priority_level_configuration: Reference { name: level.to_owned() },
        matching_precedence: precedence,
        distinguisher_method: method,
        rules,
    };
    FlowSchema::ours(name, spec)
}

fn resources(verbs: &[&str], namespace: Option<String>) -> ResourceRule {
    ResourceRule {
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        api_groups: star(),
        resources: star(),
        cluster_scope: namespace.is_none(),
        namespaces: namespace.map_or_else(star, |namespace| vec![namespace]),
    }
}

fn lists(subjects: Vec<Subject>, namespace: Option<String>) -> PolicyRules {
    let resource_rules = vec![resources(&["list", "watch"], namespace)];
    PolicyRules { subjects, resource_rules, non_resource_rules: Vec::new() }
}

fn inside(subjects: Vec<Subject>, namespace: String) -> PolicyRules {
    let resource_rules = vec![resources(&["*"], Some(namespace))];
    PolicyRules { subjects, resource_rules, non_resource_rules: Vec::new() }
}

fn everything(subjects: Vec<Subject>) -> PolicyRules {
    let paths = NonResourceRule { verbs: star(), non_resource_urls: star() };
    PolicyRules { subjects, resource_rules: vec![resources(&["*"], None)], non_resource_rules: vec![paths] }
}

fn star() -> Vec<String> {
    vec!["*".to_owned()]
}
