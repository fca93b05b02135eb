//! From tenants to FlowSchemas.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::{Class, Inputs, PlanFault};
use super::members::{MAX_SUBJECT_BYTES, Member, Reach, chunks, members, namespace_chunks, placed};
use super::{Place, PlaceKind, Plan, Warning, names};
use crate::apf::objects::{
    DistinguisherMethod, FlowSchema, FlowSchemaSpec, NonResourceRule, PolicyRules, Reference, ResourceRule,
    Subject,
};

/// Before all tenants, behind the cluster's own controllers (800).
const OWN: u32 = 850;
/// Of equal numbers the first by name wins, so a number a kind is enough, and none moves when tenants come and go.
/// Behind the cluster's own (below 1,000), before `service-accounts` (9,000).
const DEDICATED: u32 = 2_000;
const SHARED: u32 = 3_000;
const POOLED: u32 = 4_000;
const OPEN: u32 = 5_000;
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
    plan.levels = inputs
        .classes
        .iter()
        .flat_map(|class| [class.level(), class.lists_level()])
        .map(|level| (&level).into())
        .collect();
    plan.schemas.extend(own(inputs, &mut plan.warnings));
    let mut shared = Shared::default();
    for (member, kind) in placed(&members, inputs.bounds) {
        let shard = match kind {
            PlaceKind::Dedicated | PlaceKind::Open => 0,
            PlaceKind::Shared | PlaceKind::Pooled => names::shard(&member.tenant.name, inputs.bounds.shards),
        };
        let place = Place { kind, class: member.class.name.clone(), shard, subjects: member.subjects(kind) };
        put(member, &place, &mut plan, &mut shared);
        plan.places.insert(member.tenant.name.clone(), place);
    }
    let count = shared.open.values().map(Vec::len).sum();
    if count > 0 {
        plan.warnings.push(Warning::Open { tenants: count });
    }
    plan.schemas.extend(shared.open.values().flat_map(|members| opened(members)));
    for ((kind, _, shard), bundles) in shared.shards {
        plan.schemas.extend(sharded(kind, shard, bundles));
    }
    plan.levels.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    plan.schemas.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    Ok(plan)
}

/// What is to be together in FlowSchemas.
#[derive(Default)]
struct Shared<'a> {
    /// By class and shard.
    shards: BTreeMap<(PlaceKind, &'a str, u32), Vec<Bundle<'a>>>,
    /// By class.
    open: BTreeMap<&'a str, Vec<&'a Member<'a>>>,
}

/// Requests of one tenant that stay together, in at most [`MAX_SUBJECT_BYTES`].
struct Bundle<'a> {
    class: &'a Class,
    reaches: Vec<Reach>,
}

impl Bundle<'_> {
    fn size(&self) -> usize {
        self.reaches.iter().map(Reach::size).sum()
    }
}

/// Makes a tenant's own FlowSchemas, or puts it to others.
fn put<'a>(member: &'a Member<'a>, place: &Place, plan: &mut Plan, shared: &mut Shared<'a>) {
    let (class, tenant) = (member.class.name.as_str(), &member.tenant.name);
    let bundles = |reaches| {
        let parts = chunks(reaches, MAX_SUBJECT_BYTES, Reach::size).into_iter();
        parts.map(|reaches| Bundle { class: member.class, reaches }).collect::<Vec<_>>()
    };
    let own = match place.kind {
        PlaceKind::Dedicated | PlaceKind::Pooled => bundles(member.all()),
        PlaceKind::Shared => bundles(member.inside()),
        PlaceKind::Open => Vec::new(),
    };
    if own.len() > 1 {
        plan.warnings.push(Warning::Split { tenant: tenant.clone(), parts: own.len() });
    }
    let mut share =
        |kind, bundles| shared.shards.entry((kind, class, place.shard)).or_default().extend(bundles);
    match place.kind {
        PlaceKind::Dedicated => plan.schemas.extend(dedicated(tenant, &own)),
        PlaceKind::Shared => {
            share(PlaceKind::Shared, own);
            // What is not about its namespace.
            share(PlaceKind::Pooled, bundles(member.anywhere()));
        }
        PlaceKind::Pooled => {
            plan.warnings.push(Warning::Pooled { tenant: tenant.clone() });
            share(PlaceKind::Pooled, own);
        }
        PlaceKind::Open => shared.open.entry(class).or_default().push(member),
    }
}

// --- FlowSchemas ---

fn own(inputs: &Inputs, warnings: &mut Vec<Warning>) -> Option<FlowSchema> {
    if inputs.own.is_empty() {
        warnings.push(Warning::NoOwnSubject);
        return None;
    }
    let subjects: BTreeSet<Subject> = inputs.own.iter().cloned().collect();
    let reach = Reach { subjects: subjects.into_iter().collect(), namespaces: None };
    Some(schema("bailey.own".to_owned(), &inputs.own_level, OWN, None, vec![rules(&reach, false)]))
}

/// A tenant's own two, for each of its bundles.
fn dedicated(tenant: &str, bundles: &[Bundle<'_>]) -> Vec<FlowSchema> {
    let both = |(part, bundle): (usize, &Bundle<'_>)| {
        let name = |kind: &str| names::of_tenant(kind, tenant, part);
        let names = [name("lists"), name("tenant")];
        pair(names, bundle.class, DEDICATED, None, bundle.reaches.iter())
    };
    bundles.iter().enumerate().flat_map(both).collect()
}

/// The two of a shard, for as many of its bundles as have room in them.
fn sharded(kind: PlaceKind, shard: u32, bundles: Vec<Bundle<'_>>) -> Vec<FlowSchema> {
    let (prefix, lists_prefix, precedence, method) = match kind {
        PlaceKind::Shared => ("shared", "shared-lists", SHARED, Some(DistinguisherMethod::ByNamespace)),
        PlaceKind::Dedicated | PlaceKind::Pooled | PlaceKind::Open => {
            ("pooled", "pooled-lists", POOLED, None)
        }
    };
    let both = |(part, bundles): (usize, Vec<Bundle<'_>>)| {
        let Some(class) = bundles.first().map(|bundle| bundle.class) else { return Vec::new() };
        let name = |kind: &str| names::of_shard(kind, &class.name, shard, part);
        let reaches = bundles.iter().flat_map(|bundle| &bundle.reaches);
        pair([name(lists_prefix), name(prefix)], class, precedence, method, reaches).to_vec()
    };
    chunks(bundles, MAX_SUBJECT_BYTES, Bundle::size).into_iter().enumerate().flat_map(both).collect()
}

/// The two of a class for tenants without subjects, for each part of their namespaces.
fn opened(members: &[&Member<'_>]) -> Vec<FlowSchema> {
    let Some(class) = members.first().map(|member| member.class) else { return Vec::new() };
    let namespaces: BTreeSet<&str> = members.iter().flat_map(|member| &member.namespaces).copied().collect();
    let both = |(part, namespaces): (usize, Vec<&str>)| {
        let name = |kind: &str| names::of_part(kind, &class.name, part);
        let reach = Reach {
            subjects: vec![Subject::group("system:authenticated")],
            namespaces: Some(namespaces.into_iter().map(str::to_owned).collect()),
        };
        let method = Some(DistinguisherMethod::ByNamespace);
        pair([name("open-lists"), name("open")], class, OPEN, method, [&reach].into_iter())
    };
    namespace_chunks(namespaces.into_iter()).into_iter().enumerate().flat_map(both).collect()
}

/// The FlowSchemas of the same requests: for lists and watches, and for the rest.
fn pair<'a>(
    [lists, rest]: [String; 2],
    class: &Class,
    precedence: u32,
    method: Option<DistinguisherMethod>,
    reaches: impl Iterator<Item = &'a Reach> + Clone,
) -> [FlowSchema; 2] {
    let before = precedence.saturating_sub(LISTS_BEFORE);
    let only_lists = reaches.clone().map(|reach| rules(reach, true)).collect();
    let all = reaches.map(|reach| rules(reach, false)).collect();
    [
        schema(lists, &class.lists_level().name, before, method, only_lists),
        schema(rest, &class.level().name, precedence, method, all),
    ]
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

fn rules(reach: &Reach, only_lists: bool) -> PolicyRules {
    let anywhere = reach.namespaces.is_none();
    let verbs = if only_lists { vec!["list".to_owned(), "watch".to_owned()] } else { star() };
    let resources = ResourceRule {
        verbs,
        api_groups: star(),
        resources: star(),
        cluster_scope: anywhere,
        namespaces: reach.namespaces.clone().unwrap_or_else(star),
    };
    let paths = NonResourceRule { verbs: star(), non_resource_urls: star() };
    PolicyRules {
        subjects: reach.subjects.clone(),
        resource_rules: vec![resources],
        non_resource_rules: if anywhere && !only_lists { vec![paths] } else { Vec::new() },
    }
}

fn star() -> Vec<String> {
    vec!["*".to_owned()]
}
