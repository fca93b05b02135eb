//! Which flow a request falls into, as the API server finds it.

use super::objects::{DistinguisherMethod, FlowSchema, NonResourceRule, PolicyRules, ResourceRule, Subject};

/// A request, as far as FlowSchemas look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's groups.
    pub groups: &'a [&'a str],
    /// The verb of a resource, or the HTTP method in lower case.
    pub verb: &'a str,
    /// What it is about.
    pub about: About<'a>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// A resource.
    Resource {
        /// Its API group.
        group: &'a str,
        /// Its name in lower case and plural, with the subresource after a slash.
        resource: &'a str,
        /// The namespace; empty for what has none and for all of them.
        namespace: &'a str,
    },
    /// A path.
    Path(&'a str),
}

/// A flow: requests that the server keeps in order and apart from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The level.
    pub level: String,
    /// The FlowSchema.
    pub schema: String,
    /// What tells it from others of the same FlowSchema.
    pub distinguisher: String,
}

/// The flow of a request: that of the matching FlowSchema of lowest precedence number, of equals the first by name.
///
/// Takes time in the size of all FlowSchemas, in the server as well as here.
pub fn classify(schemas: &[FlowSchema], request: &Request<'_>) -> Option<Flow> {
    let matching = schemas.iter().filter(|schema| schema.spec.rules.iter().any(|rules| hits(rules, request)));
    let first = matching.min_by_key(|schema| (schema.spec.matching_precedence, &schema.metadata.name))?;
    let distinguisher = match (first.spec.distinguisher_method, request.about) {
        (Some(DistinguisherMethod::ByUser), _) => request.user,
        (Some(DistinguisherMethod::ByNamespace), About::Resource { namespace, .. }) => namespace,
        (Some(DistinguisherMethod::ByNamespace), About::Path(_)) | (None, _) => "",
    };
    Some(Flow {
        level: first.spec.priority_level_configuration.name.clone(),
        schema: first.metadata.name.clone(),
        distinguisher: distinguisher.to_owned(),
    })
}

fn hits(rules: &PolicyRules, request: &Request<'_>) -> bool {
    rules.subjects.iter().any(|subject| is(subject, request))
        && match request.about {
            About::Resource { group, resource, namespace } => rules
                .resource_rules
                .iter()
                .any(|rule| hits_resource(rule, request.verb, group, resource, namespace)),
            About::Path(path) => {
                rules.non_resource_rules.iter().any(|rule| hits_path(rule, request.verb, path))
            }
        }
}

fn is(subject: &Subject, request: &Request<'_>) -> bool {
    match subject {
        Subject::User { user } => user.name == "*" || user.name == request.user,
        Subject::Group { group } => group.name == "*" || request.groups.contains(&group.name.as_str()),
        Subject::ServiceAccount { service_account } => request
            .user
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .is_some_and(|(namespace, name)| {
                service_account.namespace == namespace
                    && (service_account.name == "*" || service_account.name == name)
            }),
    }
}

fn hits_resource(rule: &ResourceRule, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let place = if namespace.is_empty() { rule.cluster_scope } else { includes(&rule.namespaces, namespace) };
    place
        && includes(&rule.verbs, verb)
        && includes(&rule.api_groups, group)
        && includes(&rule.resources, resource)
}

fn hits_path(rule: &NonResourceRule, verb: &str, path: &str) -> bool {
    let below = |url: &String| url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix));
    includes(&rule.verbs, verb)
        && rule
            .non_resource_urls
            .iter()
            .any(|url| url == path || (url.ends_with("/*") && below(url)) || url == "*")
}

fn includes(list: &[String], item: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apf::objects::{FlowSchemaSpec, Reference};

    fn schema(
        name: &str,
        precedence: u32,
        method: Option<DistinguisherMethod>,
        subject: Subject,
    ) -> FlowSchema {
        let star = || vec!["*".to_owned()];
        let resource = ResourceRule {
            verbs: star(),
            api_groups: star(),
            resources: star(),
            cluster_scope: false,
            namespaces: star(),
        };
        let paths =
            NonResourceRule { verbs: star(), non_resource_urls: vec!["/apis/*".into(), "/version".into()] };
        let rules = PolicyRules {
            subjects: vec![subject],
            resource_rules: vec![resource],
            non_resource_rules: vec![paths],
        };
        let spec = FlowSchemaSpec {
            priority_level_configuration: Reference { name: format!("level-of-{name}") },
            matching_precedence: precedence,
            distinguisher_method: method,
            rules: vec![rules],
        };
        FlowSchema::ours(name.to_owned(), spec)
    }

    fn place(user: &str, groups: &[&str], namespace: &str) -> Option<(String, String)> {
        let schemas = [
            schema("all", 20, Some(DistinguisherMethod::ByUser), Subject::user("*")),
            schema("b", 10, None, Subject::group("staff")),
            schema("a", 10, Some(DistinguisherMethod::ByNamespace), Subject::service_account("ci", "*")),
        ];
        let about = About::Resource { group: "", resource: "pods", namespace };
        let flow = classify(&schemas, &Request { user, groups, verb: "get", about })?;
        Some((flow.schema, flow.distinguisher))
    }

    #[test]
    fn the_lowest_precedence_wins_and_then_the_first_name() {
        let found = |user, groups: &[&str]| place(user, groups, "shop").unwrap();
        assert_eq!(found("eve", &[]), ("all".into(), "eve".into()));
        assert_eq!(found("eve", &["staff"]), ("b".into(), String::new()));
        assert_eq!(found("system:serviceaccount:ci:robot", &["staff"]), ("a".into(), "shop".into()));
        assert_eq!(found("system:serviceaccount:cicd:robot", &[]).0, "all");
        assert_eq!(place("eve", &[], ""), None);
    }

    #[test]
    fn paths_are_matched_below_a_star() {
        let schemas = [schema("all", 1, Some(DistinguisherMethod::ByNamespace), Subject::user("*"))];
        let found = |path| {
            let request = Request { user: "eve", groups: &[], verb: "get", about: About::Path(path) };
            classify(&schemas, &request).is_some()
        };
        assert_eq!((found("/apis/apps"), found("/version"), found("/versions")), (true, true, false));
    }
}
