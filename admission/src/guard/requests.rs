//! What tenants ask for beyond their budgets, and what is granted of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use model::{Amount, Operation, Tenant, quantity};
use quota::measure::canonical;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Question;
use super::edits::Edit;

/// The name of what limits how many namespaces a tenant has.
const NAMESPACES: &str = "count/namespaces";
/// What Bailey writes into a decision.
const OURS: [&str; 3] = ["tenant", "by", "at"];

/// A QuotaRequest as it is to be, and as it was.
struct Asked {
    new: Value,
    old: Value,
    /// Whether the status is written.
    status: bool,
}

impl Asked {
    fn of(question: &Question<'_>) -> Option<Self> {
        let request = question.request;
        if request.resource.group != "bailey.dev" || request.resource.resource != "quotarequests" {
            return None;
        }
        let read = |object: Option<&bytes::Bytes>| serde_json::from_slice::<Value>(object?).ok();
        let status = request.sub_resource == "status";
        let new = read(request.object.as_ref()).filter(|_| status || request.sub_resource.is_empty())?;
        Some(Self { new, old: read(request.old_object.as_ref()).unwrap_or_default(), status })
    }

    /// Who is to be named as having written the spec: whoever changes it.
    fn author<'a>(&'a self, question: &Question<'a>) -> &'a str {
        let bare = |object: &Value| without(object.get("spec"), &["requestedBy"]);
        let before = self.old.pointer("/spec/requestedBy").and_then(Value::as_str);
        match before {
            Some(before) if bare(&self.new) == bare(&self.old) => before,
            _ => &question.request.user.username,
        }
    }

    /// The decision in the status, where this request changes it.
    fn decision(&self) -> Option<&Value> {
        let of = |object: &Value| without(object.pointer(DECISION), &OURS);
        let decision = self.new.pointer(DECISION).filter(|decision| decision.is_object())?;
        (self.status && of(&self.new) != of(&self.old)).then_some(decision)
    }
}

const DECISION: &str = "/status/decision";

/// An object without some of its members.
fn without(object: Option<&Value>, names: &[&str]) -> Value {
    let mut object = object.cloned().unwrap_or_default();
    if let Some(members) = object.as_object_mut() {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
    object
}

/// Writes who asked and who decided: nobody says that of themselves, or of others.
pub(super) fn edits(question: &Question<'_>) -> Vec<Edit> {
    let Some(asked) = Asked::of(question) else { return Vec::new() };
    if !asked.status {
        let author = asked.author(question);
        let named = asked.new.pointer("/spec/requestedBy").and_then(Value::as_str) == Some(author);
        let edit = || Edit::set(["spec", "requestedBy"], author);
        return if named || asked.new.get("spec").is_none() { Vec::new() } else { vec![edit()] };
    }
    let is_decided = asked.new.pointer(DECISION).is_some_and(Value::is_object);
    let before = asked.old.pointer(DECISION);
    let now = || OffsetDateTime::from(SystemTime::now()).replace_nanosecond(0).ok()?.format(&Rfc3339).ok();
    let values: [Option<Value>; 3] = match asked.decision() {
        Some(_) => [
            question.tenants.name_for(&question.request.namespace).map(Value::from),
            Some(Value::from(question.request.user.username.as_str())),
            now().map(Value::from),
        ],
        None => OURS.map(|name| before?.get(name).cloned()),
    };
    let set = OURS.iter().zip(values).map(|(name, value)| {
        let path = ["status", "decision", *name];
        value.map_or_else(|| Edit::remove(path), |value| Edit::set(path, value))
    });
    set.filter(|_| is_decided).collect()
}

/// A request is for a tenant that has a budget of what it names, and says truly who wrote it.
pub(super) fn asks_in_vain(question: &Question<'_>) -> Option<String> {
    let asked = Asked::of(question).filter(|asked| !asked.status)?;
    let author = asked.author(question);
    if asked.new.pointer("/spec/requestedBy").and_then(Value::as_str) != Some(author) {
        return Some(format!(
            "spec.requestedBy is for Bailey to write, and is `{author}` here: leave it out"
        ));
    }
    if question.request.operation == Operation::Update && asked.new.get("spec") == asked.old.get("spec") {
        return None;
    }
    let Some(tenant) = question.tenant() else {
        let namespace = &question.request.namespace;
        return Some(format!(
            "the namespace `{namespace}` belongs to no tenant: ask in a namespace of yours"
        ));
    };
    let band = asked.new.pointer("/spec/band").and_then(Value::as_str);
    let amounts = amounts(asked.new.pointer("/spec/amounts"));
    let wrong = not_limited(tenant, band, amounts.keys().map(String::as_str))?;
    let above = tenant.parents.iter().filter_map(|name| question.tenants.tenant(name));
    let mut above = above.filter(|above| {
        not_limited(above, None, amounts.keys().map(String::as_str)).is_none() && band.is_none()
    });
    let hint = above.next().map(|above| {
        format!("; the tenant `{}` above it has one: its members ask in its namespaces", above.name)
    });
    Some(format!("{wrong}{}", hint.unwrap_or_default()))
}

/// Members of tenants do not decide what tenants get, whatever rights they were given.
pub(super) fn is_decided_by_a_member(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    (!request.sub_resource.is_empty()).then(|| {
        format!(
            "what is granted of the request `{}` is for administrators to say, who belong to no tenant: they use \
             `bailey quota approve`",
            request.name
        )
    })
}

/// What is granted was asked for, as the request is now, and adds to a budget that there is.
pub(super) fn grants_in_vain(question: &Question<'_>) -> Option<String> {
    let asked = Asked::of(question)?;
    let decision = asked.decision()?;
    let number = |object: &Value, path: &str| object.pointer(path).and_then(Value::as_i64);
    let (meant, is) = (number(decision, "/generation"), number(&asked.new, "/metadata/generation"));
    if meant != is {
        let is = is.unwrap_or_default();
        return Some(format!(
            "the request was changed meanwhile: look at it again, and decide on generation {is}"
        ));
    }
    if decision.get("verdict").and_then(Value::as_str) != Some("Approved") {
        return None;
    }
    let Some(tenant) = question.tenant() else {
        let namespace = &question.request.namespace;
        return Some(format!(
            "the namespace `{namespace}` belongs to no tenant, so that nothing can be granted"
        ));
    };
    let (granted, wanted) = (amounts(decision.get("granted")), amounts(asked.new.pointer("/spec/amounts")));
    if granted.is_empty() {
        return Some("nothing is granted: name amounts, or refuse the request".to_owned());
    }
    for (name, amount) in &granted {
        match (amount, wanted.get(name).copied().flatten()) {
            (Some(amount), Some(asked)) if *amount > 0 && *amount <= asked => {}
            (_, Some(asked)) => {
                let most = Amount::of(asked, false);
                return Some(format!(
                    "of `{name}` {most} were asked for: grant more than nothing, and no more than that"
                ));
            }
            (_, None) => {
                return Some(format!("`{name}` was not asked for: raise spec.quota of the Tenant instead"));
            }
        }
    }
    let band = asked.new.pointer("/spec/band").and_then(Value::as_str);
    not_limited(tenant, band, granted.keys().map(String::as_str))
}

/// Amounts in billionths by canonical name; `None` for what is none.
fn amounts(found: Option<&Value>) -> BTreeMap<String, Option<i128>> {
    let text = |amount: &Value| amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    let members = found.and_then(Value::as_object).into_iter().flatten();
    let mut all = BTreeMap::new();
    for (name, amount) in members {
        let amount = quantity(&text(amount));
        // Of two names of one resource the smaller amount holds.
        let known = all.entry(canonical(name).into_owned()).or_insert(amount);
        *known = (*known).min(amount);
    }
    all
}

/// Why a budget cannot be raised by these names, if it cannot: more of what has no limit is nothing.
fn not_limited<'a>(
    tenant: &Tenant,
    band: Option<&str>,
    mut names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let bands = &tenant.budget.bands;
    let (hard, of) = match band {
        None => (&tenant.budget.hard, format!("the tenant `{}`", tenant.name)),
        Some(name) => match bands.iter().find(|band| band.name == name) {
            Some(band) => (&band.hard, format!("the band `{name}` of the tenant `{}`", tenant.name)),
            None => {
                let known: Vec<_> = bands.iter().map(|band| format!("`{}`", band.name)).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Some(format!("the tenant `{}` has no band `{name}`; it has {known}", tenant.name));
            }
        },
    };
    let limited = |name: &str| {
        let namespaces = name == NAMESPACES && band.is_none() && tenant.namespaces.limit.is_some();
        namespaces || hard.contains_key(name)
    };
    let free = names.find(|name| !limited(name))?;
    Some(format!("{of} has no budget of `{free}`, so that there is nothing to add to"))
}
