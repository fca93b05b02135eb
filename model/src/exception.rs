use std::collections::{BTreeMap, BTreeSet};

use crate::{Enforcement, Finding, Globs, LabelSelector, ObjectMeta, Operation, Request};

/// The most days from now until which an exception may be asked for and approved.
pub const EXCEPTION_DAYS: u32 = 90;

/// An approved exception: which findings in its namespace refuse nothing, and until when.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exception {
    /// The name of its object.
    pub name: String,
    /// Its namespace; it holds nowhere else.
    pub namespace: String,
    /// The policy whose findings it covers.
    pub policy: String,
    /// Only those of this binding; of any where not given.
    pub binding: Option<String>,
    /// Only those with one of these codes; any where empty.
    pub codes: BTreeSet<String>,
    /// Only those of objects of one of these kinds; any where empty.
    pub kinds: Vec<KindPattern>,
    /// Only those of objects with one of these names; any where empty.
    pub names: Globs,
    /// Only those of objects with these labels.
    pub selector: LabelSelector,
    /// When it ends: seconds since 1970-01-01 UTC.
    pub expires: i64,
}

/// A kind or resource as people write it: `Pod`, `deployments.apps`, `pods/exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindPattern {
    name: String,
    group: Option<String>,
    sub_resource: String,
}

impl KindPattern {
    /// Reads a kind or a resource, with its group behind a dot; without one it is of any group.
    pub fn new(text: &str) -> Self {
        let (what, sub_resource) = text.split_once('/').unwrap_or((text, ""));
        let (name, group) = match what.split_once('.') {
            Some((name, group)) => (name, Some(group.to_owned())),
            None => (what, None),
        };
        Self { name: name.to_owned(), group, sub_resource: sub_resource.to_owned() }
    }

    fn matches(&self, request: &Request) -> bool {
        let (kind, resource) = (&request.kind, &request.resource);
        let group = |of: &str| self.group.as_deref().is_none_or(|group| group == of);
        let named = (kind.kind == self.name && group(&kind.group))
            || (resource.resource == self.name && group(&resource.group));
        named && self.sub_resource == request.sub_resource
    }
}

/// All approved exceptions, as they were at one moment. Without any, a request costs one look-up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exceptions(BTreeMap<String, Vec<Exception>>);

impl Exceptions {
    /// An index of exceptions. Of several that cover a finding, the first by name is named.
    pub fn new(all: impl IntoIterator<Item = Exception>) -> Self {
        let mut index = BTreeMap::<String, Vec<Exception>>::new();
        for exception in all {
            index.entry(exception.namespace.clone()).or_default().push(exception);
        }
        for here in index.values_mut() {
            here.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Self(index)
    }

    /// Notes in each finding of a request which exception covers it, if one does at this time, in seconds since
    /// 1970-01-01 UTC. What has no namespace has no exceptions, and neither has what a binding does not allow.
    pub fn cover(&self, request: &Request, findings: &mut [Finding], now: i64) {
        if findings.is_empty() || request.is_cluster_scoped() {
            return;
        }
        let Some(here) = self.0.get(&request.namespace) else { return };
        let mut meta = Read::default();
        let of_request: Vec<&Exception> = here
            .iter()
            .filter(|exception| now < exception.expires)
            .filter(|exception| exception.concerns(request, &mut meta))
            .collect();
        for finding in findings.iter_mut().filter(|finding| finding.may_be_excepted()) {
            let found = of_request.iter().find(|exception| exception.names(finding));
            finding.exception = found.map(|exception| exception.name.clone());
        }
    }
}

impl Exception {
    /// Whether the request is about an object that is meant.
    fn concerns(&self, request: &Request, meta: &mut Read) -> bool {
        if !self.kinds.is_empty() && !self.kinds.iter().any(|kind| kind.matches(request)) {
            return false;
        }
        if self.names.is_empty() && self.selector.is_empty() {
            return true;
        }
        let Some(meta) = meta.0.get_or_insert_with(|| metadata(request)) else { return false };
        let name = [&request.name, &meta.name, &meta.generate_name].into_iter().find(|name| !name.is_empty());
        (self.names.is_empty() || name.is_some_and(|name| self.names.matches(name)))
            && self.selector.matches(&meta.labels)
    }

    /// Whether the finding is one that is meant.
    fn names(&self, finding: &Finding) -> bool {
        self.policy == finding.policy
            && self.binding.as_ref().is_none_or(|binding| *binding == finding.binding)
            && (self.codes.is_empty() || self.codes.contains(&finding.code))
    }
}

/// The metadata of a request's object, read at most once; the inner one is missing where it cannot be read.
#[derive(Default)]
struct Read(Option<Option<ObjectMeta>>);

/// The metadata of what would be stored, or of what would be deleted: labels that were there before are no reason.
fn metadata(request: &Request) -> Option<ObjectMeta> {
    let object = match request.operation {
        Operation::Delete => &request.old_object,
        _ => &request.object,
    };
    Request::metadata(object.as_ref()?).ok()
}

impl Finding {
    /// Whether an exception may cover it: its binding allows that, and it does something.
    pub fn may_be_excepted(&self) -> bool {
        self.exceptions && self.enforcement != Enforcement::Audit
    }

    /// Whether it refuses the request.
    pub fn refuses(&self) -> bool {
        self.enforcement == Enforcement::Deny && self.exception.is_none()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::{GroupVersionKind, GroupVersionResource, SelectorOperator, UserInfo};

    const NOW: i64 = 1_000;

    fn exception() -> Exception {
        Exception {
            name: "e".into(),
            namespace: "lab".into(),
            policy: "labels".into(),
            expires: NOW.saturating_add(1),
            ..Exception::default()
        }
    }

    fn finding() -> Finding {
        Finding {
            binding: "b".into(),
            policy: "labels".into(),
            enforcement: Enforcement::Deny,
            code: "missing".into(),
            message: "m".into(),
            path: String::new(),
            details: serde_json::Map::new(),
            exceptions: true,
            exception: None,
        }
    }

    /// A Deployment `web-1` with the label `tier: gold`.
    fn request() -> Request {
        let object = json!({"metadata": {"name": "web-1", "labels": {"tier": "gold"}}}).to_string();
        let (group, version) = ("apps".to_owned(), "v1".to_owned());
        Request {
            uid: "u".into(),
            kind: GroupVersionKind {
                group: group.clone(),
                version: version.clone(),
                kind: "Deployment".into(),
            },
            resource: GroupVersionResource { group, version, resource: "deployments".into() },
            sub_resource: String::new(),
            name: "web-1".into(),
            namespace: "lab".into(),
            operation: Operation::Create,
            user: UserInfo::default(),
            dry_run: false,
            raw: Bytes::new(),
            object: Some(Bytes::from(object)),
            old_object: None,
        }
    }

    fn covers(exception: Exception, request: &Request, mut finding: Finding) -> bool {
        Exceptions::new([exception]).cover(request, std::slice::from_mut(&mut finding), NOW);
        assert_eq!(finding.refuses(), finding.exception.is_none());
        finding.exception.is_some_and(|name| name == "e")
    }

    #[test]
    fn an_exception_covers_what_it_names_and_nothing_else() {
        let kinds = |texts: &[&str]| texts.iter().map(|text| KindPattern::new(text)).collect::<Vec<_>>();
        let selector = |value: &str| LabelSelector {
            match_labels: [("tier".to_owned(), value.to_owned())].into(),
            ..LabelSelector::default()
        };
        let own = exception;
        let rows = [
            (own(), true),
            (Exception { policy: "other".into(), ..own() }, false),
            (Exception { namespace: "other".into(), ..own() }, false),
            (Exception { binding: Some("b".into()), ..own() }, true),
            (Exception { binding: Some("c".into()), ..own() }, false),
            (Exception { codes: ["missing".to_owned()].into(), ..own() }, true),
            (Exception { codes: ["wrong".to_owned()].into(), ..own() }, false),
            (Exception { kinds: kinds(&["Pod", "Deployment.apps"]), ..own() }, true),
            (Exception { kinds: kinds(&["deployments"]), ..own() }, true),
            (Exception { kinds: kinds(&["Deployment.extensions", "Deployment.apps/scale"]), ..own() }, false),
            (Exception { names: Globs::new(["db-*", "web-*"]), ..own() }, true),
            (Exception { names: Globs::new(["web"]), ..own() }, false),
            (Exception { selector: selector("gold"), ..own() }, true),
            (Exception { selector: selector("silver"), ..own() }, false),
        ];
        for (exception, expected) in rows {
            assert_eq!(covers(exception.clone(), &request(), finding()), expected, "{exception:?}");
        }
    }

    #[test]
    fn an_exception_ends_by_the_clock_alone() {
        for (expires, expected) in [(NOW - 1, false), (NOW, false), (NOW + 1, true), (i64::MIN, false)] {
            assert_eq!(covers(Exception { expires, ..exception() }, &request(), finding()), expected);
        }
    }

    #[test]
    fn what_a_binding_forbids_is_never_covered() {
        assert!(!covers(exception(), &request(), Finding { exceptions: false, ..finding() }));
        let audit = Finding { enforcement: Enforcement::Audit, ..finding() };
        let mut findings = [audit];
        Exceptions::new([exception()]).cover(&request(), &mut findings, NOW);
        assert_eq!(findings[0].exception, None, "it does nothing that an exception would take away");
        assert!(covers(exception(), &request(), Finding { enforcement: Enforcement::Warn, ..finding() }));
    }

    #[test]
    fn what_has_no_namespace_has_no_exceptions() {
        let cluster = Request { namespace: String::new(), ..request() };
        assert!(!covers(Exception { namespace: String::new(), ..exception() }, &cluster, finding()));
        let mut namespace = Request { name: "lab".into(), ..request() };
        namespace.resource.group = String::new();
        namespace.resource.resource = "namespaces".into();
        assert!(!covers(exception(), &namespace, finding()));
    }

    #[test]
    fn labels_that_are_no_more_are_no_reason() {
        let gold = request().object;
        let plain = Some(Bytes::from_static(br#"{"metadata": {"name": "web-1"}}"#));
        let exception = || Exception {
            selector: LabelSelector {
                match_expressions: vec![crate::Requirement {
                    key: "tier".into(),
                    operator: SelectorOperator::Exists,
                    values: BTreeSet::new(),
                }],
                ..LabelSelector::default()
            },
            ..exception()
        };
        let update = |object: &Option<Bytes>, old: &Option<Bytes>| Request {
            operation: Operation::Update,
            object: object.clone(),
            old_object: old.clone(),
            ..request()
        };
        assert!(covers(exception(), &update(&gold, &plain), finding()));
        assert!(!covers(exception(), &update(&plain, &gold), finding()));
        let delete = Request { operation: Operation::Delete, ..update(&None, &gold) };
        assert!(covers(exception(), &delete, finding()));
    }

    #[test]
    fn a_name_that_is_to_be_made_is_tested_by_what_it_begins_with() {
        let object = Some(Bytes::from_static(br#"{"metadata": {"generateName": "web-"}}"#));
        let made = Request { name: String::new(), object, ..request() };
        let named = |glob: &str| Exception { names: Globs::new([glob]), ..exception() };
        assert!(covers(named("web-*"), &made, finding()) && !covers(named("web-1"), &made, finding()));
    }
}
