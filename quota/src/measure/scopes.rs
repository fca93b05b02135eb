//! Scopes: which objects a budget is about.

/// What the scopes of ResourceQuota ask of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scopes {
    /// Of a Pod.
    Pod(PodScopes),
    /// Of a PersistentVolumeClaim.
    Volume {
        /// The VolumeAttributesClasses that it asks for, has, or is changed to.
        attributes_classes: Vec<String>,
    },
    /// Of other kinds: no scope is about them.
    #[default]
    Other,
}

/// What the scopes ask of a Pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodScopes {
    /// It has a deadline.
    pub terminating: bool,
    /// It asks for neither cpu nor memory.
    pub best_effort: bool,
    /// Its priority class, if it has one.
    pub priority_class: Option<String>,
    /// Its affinity asks about Pods of other namespaces.
    pub cross_namespace_pod_affinity: bool,
}

/// A scope of ResourceQuota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Pods with a deadline.
    Terminating,
    /// Pods without one.
    NotTerminating,
    /// Pods that ask for neither cpu nor memory.
    BestEffort,
    /// Pods that ask for either.
    NotBestEffort,
    /// Pods by their priority class.
    PriorityClass,
    /// Pods with an affinity to those of other namespaces.
    CrossNamespacePodAffinity,
    /// PersistentVolumeClaims by their VolumeAttributesClass.
    VolumeAttributesClass,
}

/// How the classes of a scope are compared. The scopes without classes know [`Operator::Exists`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// It has a class.
    Exists,
    /// It has none.
    DoesNotExist,
    /// Its class is one of these.
    In,
    /// It has none of these.
    NotIn,
}

impl Scopes {
    /// Whether the object is in a scope.
    pub fn matches(&self, scope: Scope, operator: Operator, values: &[String]) -> bool {
        match (self, scope) {
            (Self::Pod(pod), Scope::Terminating) => pod.terminating,
            (Self::Pod(pod), Scope::NotTerminating) => !pod.terminating,
            (Self::Pod(pod), Scope::BestEffort) => pod.best_effort,
            (Self::Pod(pod), Scope::NotBestEffort) => !pod.best_effort,
            (Self::Pod(pod), Scope::CrossNamespacePodAffinity) => pod.cross_namespace_pod_affinity,
            (Self::Pod(pod), Scope::PriorityClass) => {
                any_class(pod.priority_class.as_slice(), operator, values)
            }
            (Self::Volume { attributes_classes }, Scope::VolumeAttributesClass) => {
                any_class(attributes_classes, operator, values)
            }
            _ => false,
        }
    }
}

/// Whether one of the classes is as asked: with two, one that is not among the values makes it `NotIn`.
fn any_class(classes: &[String], operator: Operator, values: &[String]) -> bool {
    match operator {
        Operator::Exists => !classes.is_empty(),
        Operator::DoesNotExist => classes.is_empty(),
        Operator::In => classes.iter().any(|class| values.contains(class)),
        Operator::NotIn => classes.is_empty() || classes.iter().any(|class| !values.contains(class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(scopes: &Scopes, scope: Scope, operator: Operator, values: &[&str]) -> bool {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        scopes.matches(scope, operator, &values)
    }

    #[test]
    fn classes_are_compared_as_labels_are() {
        use Operator::{DoesNotExist, Exists, In, NotIn};
        let pod = |class: Option<&str>| {
            Scopes::Pod(PodScopes { priority_class: class.map(str::to_owned), ..PodScopes::default() })
        };
        for (class, operator, values, expected) in [
            (Some("high"), Exists, &[][..], true),
            (None, Exists, &[], false),
            (Some("high"), DoesNotExist, &[], false),
            (None, DoesNotExist, &[], true),
            (Some("high"), In, &["low", "high"], true),
            (Some("high"), In, &["low"], false),
            (None, In, &["low"], false),
            (Some("high"), NotIn, &["low"], true),
            (Some("high"), NotIn, &["high"], false),
            (None, NotIn, &["high"], true),
        ] {
            let found = matches(&pod(class), Scope::PriorityClass, operator, values);
            assert_eq!(found, expected, "{class:?} {operator:?} {values:?}");
        }
    }

    #[test]
    fn one_of_several_attributes_classes_is_enough() {
        let volume = Scopes::Volume { attributes_classes: vec!["a".to_owned(), "b".to_owned()] };
        let is = |operator, values: &[&str]| matches(&volume, Scope::VolumeAttributesClass, operator, values);
        assert!(is(Operator::In, &["b"]) && is(Operator::NotIn, &["b"]) && is(Operator::Exists, &[]));
        assert!(!is(Operator::NotIn, &["a", "b"]) && !is(Operator::DoesNotExist, &[]));
    }

    #[test]
    fn scopes_are_about_their_own_kind_only() {
        let pod = Scopes::Pod(PodScopes::default());
        let all = [Scope::NotTerminating, Scope::NotBestEffort, Scope::VolumeAttributesClass];
        let found = |scopes: &Scopes| all.map(|scope| matches(scopes, scope, Operator::Exists, &[]));
        assert_eq!(found(&pod), [true, true, false]);
        assert_eq!(found(&Scopes::Other), [false; 3]);
        assert_eq!(found(&Scopes::Volume { attributes_classes: vec!["a".to_owned()] }), [false, false, true]);
    }
}
