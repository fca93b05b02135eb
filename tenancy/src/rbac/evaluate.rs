//! The rules of Kubernetes' RBAC authorizer.

use std::collections::BTreeSet;

use model::Subject;

use super::grant::{Grant, Power, Source};
use super::identity::{Identity, MASTERS};
use super::objects::{Binding, Rbac, Rule};
use super::question::Question;

const ALL: &str = "*";

/// How a rule allows what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// As it was asked.
    Whole,
    /// For some objects, where none was named.
    Names,
}

impl Rbac {
    /// Whether somebody may do something in a namespace; an empty one is the whole cluster.
    pub fn allows(&self, who: &Identity, namespace: &str, question: &Question) -> bool {
        who.is_master()
            || self.bindings_in(namespace).any(|binding| {
                binding.subjects.iter().any(|subject| who.is(subject))
                    && self
                        .rules(binding)
                        .unwrap_or_default()
                        .iter()
                        .any(|rule| rule.fit(question) == Some(Fit::Whole))
            })
    }

    /// Everybody who may do something in a namespace, an empty one being the whole cluster, and through what.
    ///
    /// Who may do it with some objects only is among them where no object was named.
    pub fn who_can(&self, namespace: &str, question: &Question) -> Vec<Grant> {
        let masters = Subject::Group(MASTERS.to_owned());
        let always = Grant { subject: masters, resource_names: Vec::new(), through: Source::ApiServer };
        let mut found = BTreeSet::from([always]);
        for binding in self.bindings_in(namespace) {
            let Some(names) = self.names(binding, question) else { continue };
            found.extend(binding.subjects.iter().map(|subject| Grant {
                subject: subject.clone(),
                resource_names: names.iter().cloned().collect(),
                through: source(binding),
            }));
        }
        found.into_iter().collect()
    }

    /// Everything that somebody may do: everywhere, and in this namespace, or in any where none is given.
    pub fn what_can(&self, who: &Identity, namespace: Option<&str>) -> Vec<Power> {
        let mut found = BTreeSet::new();
        if who.is_master() {
            let (rule, subject) = (everything(), Subject::Group(MASTERS.to_owned()));
            found.insert(Power { rule, subject, through: Source::ApiServer });
        }
        let concerns = |binding: &&Binding| match (&binding.namespace, namespace) {
            (Some(of), Some(asked)) => of == asked,
            _ => true,
        };
        for binding in self.bindings.iter().filter(concerns) {
            let Some(subject) = binding.subjects.iter().find(|subject| who.is(subject)) else { continue };
            let rules = self.rules(binding).unwrap_or_default().iter();
            // A RoleBinding gives no rights to paths.
            let rules = rules.filter(|rule| binding.namespace.is_none() || !rule.resources.is_empty());
            found.extend(rules.map(|rule| Power {
                rule: rule.clone(),
                subject: subject.clone(),
                through: source(binding),
            }));
        }
        found.into_iter().collect()
    }

    /// For which objects a binding allows what was asked: an empty set for all, `None` for none.
    fn names(&self, binding: &Binding, question: &Question) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for rule in self.rules(binding)? {
            match rule.fit(question) {
                Some(Fit::Whole) => return Some(BTreeSet::new()),
                Some(Fit::Names) => names.extend(rule.resource_names.iter().cloned()),
                None => {}
            }
        }
        (!names.is_empty()).then_some(names)
    }

    /// The bindings that count in a namespace.
    fn bindings_in(&self, namespace: &str) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| match &binding.namespace {
            Some(of) => !namespace.is_empty() && of == namespace,
            None => true,
        })
    }
}

impl Rule {
    fn fit(&self, question: &Question) -> Option<Fit> {
        match question {
            Question::Resource { verb, group, resource, subresource, name } => {
                let fits = has(&self.verbs, verb)
                    && has(&self.api_groups, group)
                    && self.resources.iter().any(|of| is_resource(of, resource, subresource));
                if !fits {
                    return None;
                }
                if self.resource_names.is_empty() || self.resource_names.contains(name) {
                    return Some(Fit::Whole);
                }
                (name.is_empty() && question.may_name_an_object()).then_some(Fit::Names)
            }
            Question::Path { verb, path } => {
                let fits =
                    has(&self.verbs, verb) && self.non_resource_urls.iter().any(|of| is_path(of, path));
                fits.then_some(Fit::Whole)
            }
        }
    }
}

fn has(all: &[String], wanted: &str) -> bool {
    all.iter().any(|one| one == ALL || one == wanted)
}

/// Whether a rule's resource is this one. `*` is every resource and subresource, `*/scale` that subresource of
/// every resource; `pods/*` means nothing.
fn is_resource(of: &str, resource: &str, subresource: &str) -> bool {
    if of == ALL {
        return true;
    }
    match of.split_once('/') {
        None => subresource.is_empty() && of == resource,
        Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == ALL || of == resource),
    }
}

/// Whether a rule's path is this one; an asterisk at its end is any rest.
fn is_path(of: &str, path: &str) -> bool {
    of == path || (of.ends_with(ALL) && path.starts_with(of.trim_end_matches(ALL)))
}

fn everything() -> Rule {
    let all = || vec![ALL.to_owned()];
    Rule {
        verbs: all(),
        api_groups: all(),
        resources: all(),
        resource_names: Vec::new(),
        non_resource_urls: all(),
    }
}

fn source(binding: &Binding) -> Source {
    let (name, role) = (binding.name.clone(), binding.role.clone());
    match binding.namespace.clone() {
        Some(namespace) => Source::RoleBinding { namespace, name, role },
        None => Source::ClusterRoleBinding { name, role },
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
