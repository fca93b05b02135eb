//! From (resource, operation, subresource, namespace) to the bindings that may match.
//!
//! Two steps. [`Index`] maps kind and resource names to bindings and is built once per policy set. A
//! [`Routes`] memo, one per evaluation thread, keeps for each [`RouteKey`] the bindings whose rows and
//! namespace rules fit; what is left per request are the rules on object and user. The memo holds at
//! most [`MAX_ROUTES`] keys and starts anew when it is full, when the set changes, or when a namespace's
//! labels change.
//!
//! Cost: a hash of the key and one look-up; on a miss, one test per binding of the same kind.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Operation, Request};

use super::Matcher;

/// The most keys one memo holds.
pub(crate) const MAX_ROUTES: usize = 8_192;

/// Everything a row or namespace rule can look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RouteKey {
    group: String,
    version: String,
    resource: String,
    kind_group: String,
    kind: String,
    sub_resource: String,
    operation: Operation,
    namespace: String,
}

impl RouteKey {
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            group: request.resource.group.clone(),
            version: request.resource.version.clone(),
            resource: request.resource.resource.clone(),
            kind_group: request.kind.group.clone(),
            kind: request.kind.kind.clone(),
            sub_resource: request.sub_resource.clone(),
            operation: request.operation,
            namespace: request.namespace.clone(),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Bindings by the kind or resource they name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_name: HashMap<String, Vec<usize>>,
    any: Vec<usize>,
}

impl Index {
    /// Indexes the bindings by their place in `matchers`.
    pub(crate) fn new<'a>(matchers: impl Iterator<Item = &'a Matcher>) -> Self {
        let mut index = Self::default();
        for (place, matcher) in matchers.enumerate() {
            for name in matcher.rows().iter().flat_map(|row| row.kinds.iter().chain(&row.resources)) {
                let list = match name.as_str() {
                    "*" => &mut index.any,
                    _ => index.by_name.entry(name.clone()).or_default(),
                };
                if list.last() != Some(&place) {
                    list.push(place);
                }
            }
        }
        index
    }

    /// The places of the bindings that name the request's kind or resource, in order, each once.
    pub(crate) fn candidates(&self, request: &Request) -> Vec<usize> {
        let named = |name: &str| self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let mut places: Vec<usize> =
            [named(&request.kind.kind), named(&request.resource.resource), &self.any].concat();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// One thread's memo of routes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: HashMap<RouteKey, Arc<[usize]>>,
}

impl Routes {
    pub(crate) fn get(&self, key: &RouteKey) -> Option<Arc<[usize]>> {
        self.known.get(key).cloned()
    }

    pub(crate) fn insert(&mut self, key: RouteKey, places: Vec<usize>) -> Arc<[usize]> {
        if self.known.len() >= MAX_ROUTES {
            self.known.clear();
        }
        let places: Arc<[usize]> = places.into();
        self.known.insert(key, Arc::clone(&places));
        places
    }

    /// Forgets everything: another policy set is in force.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// Forgets what was known of a namespace: its labels changed.
    pub(crate) fn forget_namespace(&mut self, namespace: &str) {
        self.known.retain(|key, _| key.namespace() != namespace);
    }
}
