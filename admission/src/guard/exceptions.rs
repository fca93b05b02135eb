//! Exceptions to policies: who asks for one, who decides on it, and until when it may be.
//!
//! Guarantee: whoever asks and whoever decides is who the API server says. A decision is an administrator's, and names
//! the object and the generation that was looked at.

use model::{EXCEPTION_DAYS, Operation};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::Question;
use super::edits::Edit;

/// Where the decision is.
const APPROVAL: &str = "/status/approval";

/// What a request about an exception says: the object, and the one that is stored.
struct Asked {
    new: Value,
    old: Value,
}

impl Asked {
    /// The objects of a request that writes an exception, or its status.
    fn of(question: &Question<'_>) -> Option<Self> {
        let (request, resource) = (question.request, &question.request.resource);
        let concerned = resource.group == "bailey.dev"
            && resource.resource == "policyexceptions"
            && matches!(request.operation, Operation::Create | Operation::Update);
        if !concerned {
            return None;
        }
        let read = |object: Option<&bytes::Bytes>| {
            object.and_then(|object| serde_json::from_slice(object).ok()).unwrap_or_default()
        };
        Some(Self { new: read(request.object.as_ref()), old: read(request.old_object.as_ref()) })
    }

    /// Whether another thing is asked for than was before.
    fn asks_anew(&self) -> bool {
        without(self.new.get("spec"), &["requestedBy"]) != without(self.old.get("spec"), &["requestedBy"])
    }

    /// What is decided, where it was not decided so before.
    fn decides(&self) -> Option<&Value> {
        let new = self.new.pointer(APPROVAL)?;
        let old = self.old.pointer(APPROVAL);
        (without(Some(new), &["by", "at"]) != without(old, &["by", "at"])).then_some(new)
    }
}

/// Members of an object but these.
fn without(object: Option<&Value>, left_out: &[&str]) -> Value {
    let mut object = object.cloned().unwrap_or_default();
    if let Some(members) = object.as_object_mut() {
        members.retain(|name, _| !left_out.contains(&name.as_str()));
    }
    object
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Writes down who asks, and who decides and when. What was written down before stays.
pub(super) fn edits(question: &Question<'_>) -> Vec<Edit> {
    let Some(asked) = Asked::of(question) else { return Vec::new() };
    let user = question.request.user.username.as_str();
    match question.request.sub_resource.as_str() {
        "" => {
            let by = if asked.asks_anew() { user } else { text(&asked.old, "/spec/requestedBy") };
            let differs = text(&asked.new, "/spec/requestedBy") != by && !by.is_empty();
            differs.then(|| Edit::set(["spec", "requestedBy"], by)).into_iter().collect()
        }
        "status" => match (asked.decides(), asked.old.pointer(APPROVAL)) {
            (Some(_), _) => {
                let at = question.time.replace_nanosecond(0).unwrap_or(question.time);
                let set = |name: &str, value: String| Edit::set(["status", "approval", name], value);
                vec![set("by", user.to_owned()), set("at", at.format(&Rfc3339).unwrap_or_default())]
            }
            (None, Some(old)) if asked.new.pointer(APPROVAL).is_some_and(|new| new != old) => {
                vec![Edit::set(["status", "approval"], old.clone())]
            }
            (None, _) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Exceptions are decided on by administrators: nobody else writes their status, whatever rights they were given.
pub(super) fn are_decided_by_another(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    (request.sub_resource == "status").then(|| {
        format!(
            "exceptions are approved and refused by users of the groups in `--administrators`: ask one for `bailey \
             exception approve {} -n {}`",
            request.name, request.namespace
        )
    })
}

/// An exception says who asks and ends soon enough, and a decision is on what is there.
pub(super) fn have_wrong_terms(question: &Question<'_>) -> Option<String> {
    let asked = Asked::of(question)?;
    match question.request.sub_resource.as_str() {
        "" if asked.asks_anew() => {
            wrong_author(&asked.new, "/spec/requestedBy", &question.request.user.username)
                .or_else(|| wrong_end(&asked.new, question.time))
        }
        "" => {
            let (new, old) = (text(&asked.new, "/spec/requestedBy"), text(&asked.old, "/spec/requestedBy"));
            (new != old).then(|| format!("spec.requestedBy is `{old}`, who asked, and stays so"))
        }
        "status" => wrong_decision(&asked, &question.request.user.username, question.time),
        _ => None,
    }
}

fn wrong_author(object: &Value, path: &str, user: &str) -> Option<String> {
    let found = text(object, path);
    let field = path.trim_start_matches('/').replace('/', ".");
    (found != user)
        .then(|| format!("{field} is `{found}`, and you are `{user}`: leave it out, it is set for you"))
}

fn wrong_end(object: &Value, now: OffsetDateTime) -> Option<String> {
    let found = text(object, "/spec/expires");
    let Ok(ends) = OffsetDateTime::parse(found, &Rfc3339) else {
        return Some(format!(
            "spec.expires is `{found}`, which is no time: write it like `2027-01-31T00:00:00Z`"
        ));
    };
    let latest = now.checked_add(Duration::days(EXCEPTION_DAYS.into())).unwrap_or(now);
    if ends <= now {
        return Some(format!("spec.expires is `{found}`, which is over: choose a time to come"));
    }
    (ends > latest).then(|| {
        let latest = latest.replace_nanosecond(0).unwrap_or(latest).format(&Rfc3339).unwrap_or_default();
        format!("spec.expires is `{found}`, more than {EXCEPTION_DAYS} days ahead: the latest is `{latest}`")
    })
}

fn wrong_decision(asked: &Asked, user: &str, now: OffsetDateTime) -> Option<String> {
    let decision = asked.decides()?;
    let uid = text(&asked.new, "/metadata/uid");
    let generation = asked.new.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    let (of, looked_at) = (text(decision, "/uid"), decision.get("generation").and_then(Value::as_i64));
    if of != uid {
        return Some(format!("status.approval.uid is `{of}`, and this object has `{uid}`: look at it again"));
    }
    if looked_at != Some(generation) {
        let looked_at = looked_at.unwrap_or_default();
        return Some(format!(
            "status.approval.generation is {looked_at}, and the exception has {generation}: it was changed since, look \
             at it again"
        ));
    }
    if let Some(wrong) = wrong_author(&asked.new, "/status/approval/by", user) {
        return Some(wrong);
    }
    if text(decision, "/decision") == "Approved" { wrong_end(&asked.new, now) } else { None }
}
