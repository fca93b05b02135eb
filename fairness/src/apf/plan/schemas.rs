//! From tenants to FlowSchemas.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::{Inputs, PlanFault};
use super::members::{MAX_SUBJECT_BYTES, Member, RULE_BYTES, members, placed, shared_subjects, size};
use super::{Place, PlaceKind, Plan, Warning, names};
use crate::apf::objects::{
    DistinguisherMethod, FlowSchema, FlowSchemaSpec, NonResourceRule, PolicyRules, Reference, ResourceRule,
    Subject,
};

/// From how many subjects on an administrator is told: then a request of no tenant costs a good part of a millisecond.
const LONG_WALK: usize = 20_000;
/// Before all tenants, behind the cluster's own controllers (800).
const OWN: u32 = 850;
/// Of equal numbers the first by name wins, so a number a kind is enough, and none moves when tenants come and go.
/// Behind the cluster's own (below 1,000), before `service-accounts` (9,000).
const DEDICATED: u32 = 2_000;
const SHARED: u32 = 3_000;
const POOLED: u32 = 4_000;
/// Lists are tried just before the rest.
const LISTS_BEFORE: u32 = 100;

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
    let subjects =
        plan.schemas.iter().flat_map(|schema| &schema.spec.rules).map(|rules| rules.subjects.len()).sum();
    if subjects > LONG_WALK {
        plan.warnings.push(Warning::LongWalk { subjects });
    }
    plan.levels.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    plan.schemas.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    Ok(plan)
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
            let rule = |(member, subjects): &(&Member<'_>, &Vec<Subject>)| {
                let namespace = member.namespaces.first().filter(|_| kind == PlaceKind::Shared);
                let namespace = namespace.map(|namespace| (*namespace).to_owned());
                match (only_lists, namespace) {
                    (true, namespace) => lists((*subjects).clone(), namespace),
                    (false, Some(namespace)) => inside((*subjects).clone(), namespace),
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

/// Chunks of subjects with whose they are, in parts that fit one FlowSchema each.
fn packed<'a>(members: &[&'a Member<'_>]) -> Vec<Vec<(&'a Member<'a>, &'a Vec<Subject>)>> {
    let mut parts: Vec<Vec<(&Member<'_>, &Vec<Subject>)>> = Vec::new();
    let mut room = 0_usize;
    let all = members.iter().flat_map(|member| member.chunks.iter().map(|chunk| (*member, chunk)));
    for (member, chunk) in all {
        let size = chunk.iter().map(size).sum::<usize>().saturating_add(RULE_BYTES);
        match parts.last_mut() {
            Some(part) if size <= room => part.push((member, chunk)),
            Some(_) | None => {
                room = MAX_SUBJECT_BYTES;
                parts.push(vec![(member, chunk)]);
            }
        }
        room = room.saturating_sub(size);
    }
    parts
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
