//! What a request is about, read as the API server reads it, or refused: nothing here is guessed.
//!
//! The gateway counts a request by its path and query. Whoever could make it read them otherwise than the API server does
//! would pass a watch for a read. So a path has one spelling: what two servers might read in two ways does not pass.

use std::borrow::Cow;

use fairness::rates::Class;
use http::{Method, Uri};
use model::{ClassKind, Code};
use percent_encoding::percent_decode_str;

use crate::refusal::Refusal;

/// The longest path and query, in bytes.
pub(crate) const MAX_TARGET: usize = 16 << 10;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Write,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) verb: Verb,
    pub(crate) class: Class,
    /// The namespace it is in; of a Namespace itself, its own name.
    pub(crate) namespace: Option<String>,
    /// The most objects that a list asks for; `None` for all.
    pub(crate) page: Option<u64>,
    /// What a list or watch reads that is not within one namespace.
    pub(crate) scope: Option<Scope>,
    /// Whether it changes a Namespace itself.
    pub(crate) changes_namespace: bool,
}

/// What a list or watch reads that is not within one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Namespaces themselves.
    Namespaces,
    /// What is in all namespaces, where the kind is one that is in namespaces.
    Everywhere,
    /// A kind of the cluster's own, or one object of it.
    Granted(Granted),
}

/// Kinds of the cluster's own, of which tenants see what is theirs, or what they were granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Granted {
    /// Of their tenants.
    Namespace,
    /// That objects may name.
    Class(ClassKind),
    /// Where Pods are led.
    Node,
    /// Of PersistentVolumeClaims.
    Volume,
    /// Of custom kinds.
    Definition,
}

impl Granted {
    /// The name of the kind.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Class(kind) => kind.as_str(),
            Self::Node => "Node",
            Self::Volume => "PersistentVolume",
            Self::Definition => "CustomResourceDefinition",
        }
    }

    /// What field selectors may ask for besides `metadata.name`.
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Namespace => &["status.phase"],
            Self::Node => &["spec.unschedulable"],
            Self::Class(_) | Self::Volume | Self::Definition => &[],
        }
    }
}

impl Target {
    /// Whether it stays open as long as the client likes.
    pub(crate) fn is_long_running(&self) -> bool {
        self.verb == Verb::Watch || self.class == Class::Exec
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Code::GatewayRequest`] where its path or query has more than one reading, or its method is none of Kubernetes'.
    pub(crate) fn read(method: &Method, uri: &Uri) -> Result<Self, Refusal> {
        let length = uri.path_and_query().map_or(0, |both| both.as_str().len());
        if length > MAX_TARGET {
            let message = format!("the path and query have {length} bytes; at most {MAX_TARGET} pass");
            return Err(
                Refusal::new(Code::GatewayTooLarge, message).with_status(http::StatusCode::URI_TOO_LONG)
            );
        }
        let segments = segments(uri.path())?;
        let query = Query::read(uri.query().unwrap_or_default())?;
        let segments: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
        let resource = Resource::of(&segments);
        let verb = verb(method, resource.as_ref(), query.watch)?;
        let Some(resource) = resource else {
            let class = if verb == Verb::Write { Class::Write } else { Class::Read };
            return Ok(Self {
                verb,
                class,
                namespace: None,
                page: None,
                scope: None,
                changes_namespace: false,
            });
        };
        let class = resource.class(verb);
        let reads = *method == Method::GET;
        let scope = resource.scope().filter(|_| reads);
        let namespace = resource.namespace.map(str::to_owned);
        let changes_namespace =
            verb == Verb::Write && (resource.group, resource.resource) == ("", "namespaces");
        Ok(Self { verb, class, namespace, page: query.limit, scope, changes_namespace })
    }
}

fn verb(method: &Method, resource: Option<&Resource<'_>>, watch: bool) -> Result<Verb, Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(match resource {
            Some(resource) if resource.watch => Verb::Watch,
            Some(resource) if resource.name.is_none() && watch => Verb::Watch,
            Some(resource) if resource.name.is_none() => Verb::List,
            _ => Verb::Get,
        }),
        Method::OPTIONS => Ok(Verb::Get),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(Verb::Write),
        _ => {
            let message = format!("the method {method} is none of Kubernetes' API");
            Err(Refusal::new(Code::GatewayRequest, message).with_status(http::StatusCode::METHOD_NOT_ALLOWED))
        }
    }
}

/// The decoded parts of a path.
fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let refuse = |what: &str| {
        let message = format!("the path is not one that the API server has in just one reading: it {what}");
        Err(Refusal::new(Code::GatewayRequest, message))
    };
    let Some(rest) = path.strip_prefix('/') else { return refuse("does not begin with `/`") };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return if path == "/" { Ok(Vec::new()) } else { refuse("has an empty part (`//`)") };
    }
    let mut segments = Vec::new();
    for part in rest.split('/') {
        let Ok(decoded) = percent_decode_str(part).decode_utf8() else { return refuse("is not UTF-8") };
        match decoded.as_ref() {
            "" => return refuse("has an empty part (`//`)"),
            "." | ".." => return refuse("has a part `.` or `..`"),
            _ => {}
        }
        if decoded.contains(['/', '\\', ';', '%', '?', '#']) {
            return refuse("has one of `/ \\ ; % ? #` in a part, or encoded");
        }
        if decoded.chars().any(char::is_control) {
            return refuse("has a control character");
        }
        segments.push(decoded);
    }
    Ok(segments)
}

/// What counts of a query.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    watch: bool,
    limit: Option<u64>,
}

impl Query {
    fn read(query: &str) -> Result<Self, Refusal> {
        let refuse = |message: String| Err(Refusal::new(Code::GatewayRequest, message));
        if query.contains(';') {
            return refuse("the query has a `;`, which servers read in different ways: write `%3B`".into());
        }
        if !escapes_are_whole(query) {
            return refuse(
                "the query has a `%` without two hexadecimal digits, which servers read in different ways"
                    .into(),
            );
        }
        let (mut watch, mut limit, mut version) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "watch" => &mut watch,
                "limit" => &mut limit,
                "resourceVersion" => &mut version,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return refuse(format!("the query has `{name}` more than once"));
            }
        }
        // As the API server reads it: anything but these two asks for a watch.
        let watch = watch.is_some_and(|value| !matches!(value.to_lowercase().as_str(), "false" | "0"));
        let limit = match limit.as_deref() {
            None | Some("" | "0") => None,
            Some(text) => match text.parse::<u64>() {
                Ok(limit) => Some(limit),
                Err(_) => return refuse("the query's `limit` is not a whole number".into()),
            },
        };
        // From its cache the API server gives all of them, whatever the limit.
        let limit = limit.filter(|_| version.as_deref() != Some("0"));
        Ok(Self { watch, limit })
    }
}

/// Whether each `%` has its two digits: without them some take it as it is, and the API server drops the parameter.
fn escapes_are_whole(query: &str) -> bool {
    let digits =
        |part: &[u8]| matches!(part, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    query.split('%').skip(1).all(|part| digits(part.as_bytes()))
}

/// The parts of the path of a resource.
#[derive(Debug, Default, PartialEq, Eq)]
struct Resource<'a> {
    group: &'a str,
    namespace: Option<&'a str>,
    resource: &'a str,
    name: Option<&'a str>,
    subresource: Option<&'a str>,
    /// Of the old form `/api/v1/watch/…`.
    watch: bool,
    /// Of the old form `/api/v1/proxy/…`.
    proxy: bool,
}

impl<'a> Resource<'a> {
    /// The resource that a path names; `None` where it names none.
    fn of(segments: &[&'a str]) -> Option<Self> {
        let (group, mut rest) = match segments {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let mut found = Self { group, ..Self::default() };
        match rest {
            ["watch", more @ ..] if !more.is_empty() => (found.watch, rest) = (true, more),
            ["proxy", more @ ..] if !more.is_empty() => (found.proxy, rest) = (true, more),
            _ => {}
        }
        if let ["namespaces", namespace, more @ ..] = rest {
            found.namespace = Some(namespace);
            if !matches!(more, [] | ["status" | "finalize", ..]) {
                rest = more;
            }
        }
        let (resource, rest) = rest.split_first()?;
        found.resource = resource;
        found.name = rest.first().copied();
        found.subresource = rest.get(1).copied();
        Some(found)
    }

    /// What it reads as a whole. The old forms are left to the API server alone.
    fn scope(&self) -> Option<Scope> {
        if self.namespace.is_some() || self.watch || self.proxy || self.subresource.is_some() {
            return None;
        }
        let granted = match (self.group, self.resource) {
            ("storage.k8s.io", "storageclasses") => Some(Granted::Class(ClassKind::Storage)),
            ("networking.k8s.io", "ingressclasses") => Some(Granted::Class(ClassKind::Ingress)),
            ("gateway.networking.k8s.io", "gatewayclasses") => Some(Granted::Class(ClassKind::Gateway)),
            ("scheduling.k8s.io", "priorityclasses") => Some(Granted::Class(ClassKind::Priority)),
            ("node.k8s.io", "runtimeclasses") => Some(Granted::Class(ClassKind::Runtime)),
            ("resource.k8s.io", "deviceclasses") => Some(Granted::Class(ClassKind::Device)),
            ("", "nodes") => Some(Granted::Node),
            ("", "persistentvolumes") => Some(Granted::Volume),
            ("apiextensions.k8s.io", "customresourcedefinitions") => Some(Granted::Definition),
            _ => None,
        };
        match (granted, self.group, self.resource) {
            (Some(granted), ..) => Some(Scope::Granted(granted)),
            _ if self.name.is_some() => None,
            (None, "", "namespaces") => Some(Scope::Namespaces),
            _ => Some(Scope::Everywhere),
        }
    }

    fn class(&self, verb: Verb) -> Class {
        let stream = matches!(
            (self.resource, self.subresource),
            ("pods", Some("exec" | "attach" | "portforward" | "log"))
                | ("pods" | "services" | "nodes", Some("proxy"))
        );
        if stream || self.proxy {
            return Class::Exec;
        }
        match verb {
            Verb::Get => Class::Read,
            Verb::List => Class::List,
            Verb::Watch => Class::Watch,
            Verb::Write => Class::of_change(self.group, self.resource, self.subresource),
        }
    }
}

#[cfg(test)]
mod tests;
