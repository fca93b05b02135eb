//! The check of Bailey's own objects at their own admission: compile now, refuse with the position.

use std::sync::{Arc, PoisonError, RwLock};

use admission::ConfigCheck;
use model::{Code, LoadFault, Request};
use policies::Compiler;
use tenancy::api::{ConfigObject, PolicyDraft};
use tenancy::cluster::Cluster;
use tokio::runtime::Handle;

/// A check against this compiler. It keeps nothing: what is accepted comes back through the watch.
///
/// It is called where blocking is allowed, within a Tokio runtime.
pub(crate) fn config_check(compiler: Arc<RwLock<Compiler>>, cluster: Option<Arc<Cluster>>) -> ConfigCheck {
    Arc::new(move |request: &Request| {
        let Some(object) = &request.object else { return Ok(Vec::new()) };
        if request.resource.resource == "tenants" {
            return tenancy::api::check_tenant(object).map(|()| Vec::new());
        }
        if request.resource.resource == "fairnessclasses" {
            return tenancy::api::check_fairness_class(object).map(|()| Vec::new());
        }
        if request.resource.resource == "quotarequests" {
            let old = request.old_object.as_deref();
            return tenancy::api::check_quota_request(object, old).map(|()| Vec::new());
        }
        if request.resource.resource == "policyexceptions" {
            let compiler = compiler.read().unwrap_or_else(PoisonError::into_inner);
            return Ok(no_use(&compiler, object).into_iter().collect());
        }
        // Of other kinds the API server knows all there is to check: their schemas.
        if !matches!(request.resource.resource.as_str(), "policies" | "policybindings") {
            return Ok(Vec::new());
        }
        match tenancy::api::decode(object)? {
            ConfigObject::Policy(draft) => check_policy(&compiler, cluster.as_deref(), &draft),
            ConfigObject::Binding(binding) => {
                let compiler = compiler.read().unwrap_or_else(PoisonError::into_inner);
                compiler.check_binding(&binding)?;
                let missing = !compiler.has_policy(&binding.policy);
                Ok(missing.then(|| missing_policy(&binding.policy)).into_iter().collect())
            }
        }
    })
}

fn check_policy(
    compiler: &RwLock<Compiler>,
    cluster: Option<&Cluster>,
    draft: &PolicyDraft,
) -> Result<Vec<String>, LoadFault> {
    let resolved = draft.resolve(|location| match cluster {
        Some(cluster) => Handle::current().block_on(cluster.read_module(location)),
        None => Err(LoadFault::new(Code::ModuleUnavailable, format!("{location} is not read here"))),
    });
    match resolved {
        Ok(policy) => {
            let compiler = compiler.read().unwrap_or_else(PoisonError::into_inner);
            compiler.check_policy(&policy).map(|()| Vec::new())
        }
        // The module may be applied after its policy: that is no reason to refuse the policy.
        Err(fault) if matches!(fault.code, Code::ModuleUnavailable | Code::ModuleDigestMismatch) => {
            Ok(vec![format!("{}; the policy is in force once that is right, see its status", fault.message)])
        }
        Err(fault) => Err(fault),
    }
}

/// Why an exception would be of no use as things are: it may be asked for before its policy is there.
fn no_use(compiler: &Compiler, object: &[u8]) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(object).ok()?;
    let said = |path: &str| object.pointer(path).and_then(serde_json::Value::as_str);
    let policy = said("/spec/policy")?;
    let what = match said("/spec/binding") {
        Some(binding) => format!("the binding `{binding}` of the policy `{policy}`"),
        None => format!("no binding of the policy `{policy}`"),
    };
    let of_none = match (compiler.allows_exceptions(policy, said("/spec/binding")), said("/spec/binding")) {
        (true, _) => return None,
        (false, Some(_)) => format!("{what} is not there or does not allow exceptions"),
        (false, None) => format!("{what} allows exceptions"),
    };
    Some(format!("{of_none}: as it is, this one would change nothing"))
}

fn missing_policy(name: &str) -> String {
    format!(
        "there is no policy `{name}` yet: until there is, matching requests fail by this binding's failure policy"
    )
}
