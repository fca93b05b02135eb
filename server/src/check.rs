//! The check of Bailey's own objects at their own admission: compile now, refuse with the position.

use std::sync::{Arc, PoisonError, RwLock};

use admission::ConfigCheck;
use model::{LoadFault, Request};
use policies::Compiler;
use tenancy::api::{ConfigObject, DraftSource, PolicyDraft};

/// A check against this compiler. It keeps nothing: what is accepted comes back through the watch.
pub(crate) fn config_check(compiler: Arc<RwLock<Compiler>>) -> ConfigCheck {
    Arc::new(move |request: &Request| {
        let Some(object) = &request.object else { return Ok(Vec::new()) };
        let compiler = compiler.read().unwrap_or_else(PoisonError::into_inner);
        match tenancy::api::decode(object)? {
            ConfigObject::Policy(draft) => check_policy(&compiler, &draft),
            ConfigObject::Binding(binding) => {
                compiler.check_binding(&binding)?;
                let missing = !compiler.has_policy(&binding.policy);
                Ok(missing.then(|| missing_policy(&binding.policy)).into_iter().collect())
            }
        }
    })
}

fn check_policy(compiler: &Compiler, draft: &PolicyDraft) -> Result<Vec<String>, LoadFault> {
    if let DraftSource::Wasm { module, .. } = &draft.source {
        // The module is read, and its digest compared, by the loader; its fault is in the status.
        let location = &module.location;
        return Ok(vec![format!("{location} is checked when it is loaded, see the policy's status")]);
    }
    let policy = draft.resolve(|location| {
        Err(LoadFault::new(model::Code::ModuleUnavailable, format!("{location} is not read here")))
    })?;
    compiler.check_policy(&policy)?;
    Ok(Vec::new())
}

fn missing_policy(name: &str) -> String {
    format!(
        "there is no policy `{name}` yet: until there is, matching requests fail by this binding's failure policy"
    )
}
