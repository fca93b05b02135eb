//! Rights that members give in their namespaces.

use model::{Subject, Tenant};
use serde::Deserialize;

use super::Question;

/// Groups in which everybody is.
const EVERYBODY: [&str; 3] = ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"];

/// Whoever shows no credentials.
const ANONYMOUS: &str = "system:anonymous";

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Binding {
    role_ref: Named,
    subjects: Option<Vec<Named>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    kind: String,
    name: String,
    namespace: Option<String>,
}

/// Rights in a tenant's namespace go to people, and to service accounts of the tenant and of its members.
pub(super) fn give_rights_to_others(question: &Question<'_>) -> Option<String> {
    let tenant = question.tenant()?;
    let binding = read(question)?;
    let subjects = binding.subjects.unwrap_or_default();
    let foreign = subjects.iter().find_map(|subject| foreign(question, tenant, subject))?;
    Some(format!("a subject is {foreign}: name users, groups of your own, or service accounts of the tenant"))
}

/// Members bind the ClusterRoles that the profile knows.
pub(super) fn have_another_role(question: &Question<'_>) -> Option<String> {
    let binding = read(question).filter(|binding| binding.role_ref.kind == "ClusterRole")?;
    let name = binding.role_ref.name.as_str();
    question.rules().find_map(|rules| {
        let allowed = rules.cluster_roles.as_ref().filter(|allowed| !allowed.matches(name))?;
        let shown = allowed.shown();
        Some(format!("the ClusterRole `{name}` is not allowed, use {shown} ({})", rules.source))
    })
}

fn read(question: &Question<'_>) -> Option<Binding> {
    let object = question.request.object.as_deref()?;
    // The API server has read it already: one that cannot be read is none.
    serde_json::from_slice(object).ok()
}

fn foreign(question: &Question<'_>, tenant: &Tenant, subject: &Named) -> Option<String> {
    let name = subject.name.as_str();
    match subject.kind.as_str() {
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or(&question.request.namespace);
            let member = Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() };
            let own = question.tenants.name_for(namespace) == Some(tenant.name.as_str());
            (!own && !tenant.members.iter().any(|known| known.subject == member))
                .then(|| format!("the service account `{name}` of the namespace `{namespace}`"))
        }
        "Group" => {
            let of_namespace = name.strip_prefix("system:serviceaccounts:");
            let own = of_namespace
                .is_some_and(|namespace| question.tenants.name_for(namespace) == Some(tenant.name.as_str()));
            let everybody = EVERYBODY.contains(&name) || (of_namespace.is_some() && !own);
            everybody.then(|| format!("the group `{name}`, in which others are"))
        }
        "User" if name == ANONYMOUS => Some(format!("`{name}`, which is everybody without a name")),
        "User" => {
            let (namespace, _) = name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
            (question.tenants.name_for(namespace) != Some(tenant.name.as_str()))
                .then(|| format!("`{name}`, a service account of others"))
        }
        _ => None,
    }
}
