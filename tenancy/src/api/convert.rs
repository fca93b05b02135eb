//! From the wire format to the model, with the checks that a schema cannot say. The same ones are rules of
//! the custom resource definitions, so that the API server refuses the object too.

use std::collections::BTreeSet;
use std::path::Path;

use model::{Code, LoadFault, RegoModule, Source};
use serde_json::Value;

use super::binding::{self, PolicyBindingSpec};
use super::decode::Place;
use super::draft::{DraftSource, ModuleLocation, ModuleReference, PolicyDraft};
use super::policy::{KeyReference, PolicySpec, RegoSource, WasmModule, WasmSource};

/// The name of a Rego policy's own module in error positions.
const POLICY_MODULE: &str = "policy.rego";
/// All Rego modules of one policy together, in bytes.
const MAX_SOURCE_BYTES: usize = 256 << 10;
/// The longest code in a message catalogue, in bytes.
const MAX_CODE_BYTES: usize = 128;

fn policy_fault(path: &str, why: impl std::fmt::Display) -> LoadFault {
    LoadFault::new(Code::PolicyInvalid, format!("{path}: {why}"))
}

fn binding_fault(path: &str, why: impl std::fmt::Display) -> LoadFault {
    LoadFault::new(Code::BindingInvalid, format!("{path}: {why}"))
}

// ---- policies ----

pub(super) fn policy(
    name: String,
    generation: i64,
    spec: PolicySpec,
    place: &Place,
) -> Result<PolicyDraft, LoadFault> {
    let source = match (spec.rego, spec.wasm) {
        (Some(rego), None) => rego_source(rego)?,
        (None, Some(wasm)) => wasm_source(wasm, place)?,
        (None, None) => {
            return Err(policy_fault("spec", "neither rego nor wasm is given, exactly one is needed"));
        }
        (Some(_), Some(_)) => {
            return Err(policy_fault("spec", "both rego and wasm are given, exactly one is needed"));
        }
    };
    if let Some(code) = spec.messages.keys().find(|code| code.is_empty() || code.len() > MAX_CODE_BYTES) {
        let why = format!("the code `{code}` has {} bytes, 1 to {MAX_CODE_BYTES} are allowed", code.len());
        return Err(policy_fault("spec.messages", why));
    }
    let parameter_schema = spec.parameters.map(|parameters| parameters.schema);
    if parameter_schema.as_ref().is_some_and(|schema| !schema.is_object()) {
        return Err(policy_fault("spec.parameters.schema", "is not an object"));
    }
    let limits = spec.limits.unwrap_or_default();
    Ok(PolicyDraft {
        name,
        generation,
        source,
        mutates: spec.mutates,
        parameter_schema,
        messages: spec.messages,
        lookups: spec.lookups.into_iter().map(lookup).collect(),
        limits: model::PolicyLimits {
            timeout_ms: limits.timeout_milliseconds,
            memory_mib: limits.memory_mib,
        },
    })
}

fn lookup(reference: super::policy::LookupReference) -> model::LookupKind {
    let super::policy::LookupReference { group, version, kind } = reference;
    model::LookupKind { group, version, kind }
}

fn rego_source(rego: RegoSource) -> Result<DraftSource, LoadFault> {
    let lengths = rego.libraries.iter().map(|library| library.source.len());
    let total = lengths.fold(rego.source.len(), usize::saturating_add);
    if total > MAX_SOURCE_BYTES {
        let why = format!("source and libraries have {total} bytes, at most {MAX_SOURCE_BYTES} are allowed");
        return Err(policy_fault("spec.rego", why));
    }
    let mut names = BTreeSet::from([POLICY_MODULE.to_owned()]);
    let mut modules = vec![RegoModule { name: POLICY_MODULE.to_owned(), text: rego.source }];
    for (index, library) in rego.libraries.into_iter().enumerate() {
        let path = format!("spec.rego.libraries[{index}].name");
        if !is_module_name(&library.name) {
            let why = format!("`{}` is not a name of letters, digits, `.`, `_` and `-`", library.name);
            return Err(policy_fault(&path, why));
        }
        if !names.insert(library.name.clone()) {
            return Err(policy_fault(&path, format!("`{}` is the name of another module", library.name)));
        }
        modules.push(RegoModule { name: library.name, text: library.source });
    }
    Ok(DraftSource::Rego(Source::Rego { version: rego.version, modules }))
}

fn is_module_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-'))
}

fn wasm_source(wasm: WasmSource, place: &Place) -> Result<DraftSource, LoadFault> {
    const PATH: &str = "spec.wasm.module";
    let WasmModule { file, config_map, secret, digest } = wasm.module;
    let digest = digest
        .map(|digest| digest.parse().map_err(|why| policy_fault("spec.wasm.module.digest", why)))
        .transpose()?;
    let location = match (file, config_map, secret) {
        (Some(file), None, None) => module_file(&file, place)?,
        (None, Some(KeyReference { namespace, name, key }), None) => {
            ModuleLocation::ConfigMap { namespace, name, key }
        }
        (None, None, Some(KeyReference { namespace, name, key })) => {
            ModuleLocation::Secret { namespace, name, key }
        }
        _ => return Err(policy_fault(PATH, "exactly one of file, configMap and secret is needed")),
    };
    if digest.is_none() && !matches!(location, ModuleLocation::File(_)) {
        return Err(policy_fault(PATH, "a digest is needed with configMap and secret"));
    }
    let module = ModuleReference { location, digest };
    Ok(DraftSource::Wasm { interface: wasm.interface, module })
}

fn module_file(file: &str, place: &Place) -> Result<ModuleLocation, LoadFault> {
    let path = Path::new(file);
    match place {
        Place::Directory(directory) => Ok(ModuleLocation::File(directory.join(path))),
        Place::Cluster if path.is_absolute() => Ok(ModuleLocation::File(path.to_owned())),
        Place::Cluster => Err(policy_fault(
            "spec.wasm.module.file",
            format!("`{file}` is relative, in the cluster an absolute path on the server is needed"),
        )),
    }
}

// ---- bindings ----

pub(super) fn binding(
    name: String,
    generation: i64,
    spec: PolicyBindingSpec,
) -> Result<model::PolicyBinding, LoadFault> {
    let parameters = spec.parameters.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if !parameters.is_object() {
        return Err(LoadFault::new(Code::ParametersInvalid, "spec.parameters: is not an object"));
    }
    Ok(model::PolicyBinding {
        name,
        generation,
        policy: spec.policy,
        parameters,
        rules: rules(spec.rules)?,
        enforcement: spec.enforcement,
        failure_policy: spec.failure_policy,
        order: spec.order,
        exceptions: spec.exceptions == binding::Exceptions::Allowed,
    })
}

fn rules(rules: binding::MatchRules) -> Result<model::MatchRules, LoadFault> {
    for (index, row) in rules.resources.iter().enumerate() {
        if row.kinds.is_empty() && row.resources.is_empty() {
            let path = format!("spec.match.resources[{index}]");
            return Err(binding_fault(&path, "names neither kinds nor resources; use `*` for any"));
        }
    }
    Ok(model::MatchRules {
        resources: rules.resources.into_iter().map(row).collect(),
        namespaces: rules.namespaces,
        excluded_namespaces: rules.excluded_namespaces,
        namespace_selector: selector(rules.namespace_selector, "spec.match.namespaceSelector")?,
        object_selector: selector(rules.object_selector, "spec.match.objectSelector")?,
        names: rules.names,
        subjects: subjects(rules.subjects, "spec.match.subjects")?,
        excluded_subjects: subjects(rules.excluded_subjects, "spec.match.excludedSubjects")?,
    })
}

fn row(row: binding::ResourceRow) -> model::ResourceRule {
    model::ResourceRule {
        groups: row.api_groups,
        versions: row.api_versions,
        kinds: row.kinds,
        resources: row.resources,
        sub_resources: row.subresources,
        operations: row.operations,
        scope: row.scope,
    }
}

fn selector(selector: Option<binding::LabelSelector>, path: &str) -> Result<model::LabelSelector, LoadFault> {
    let selector = selector.unwrap_or_default().to_model();
    selector.validate().map_err(|why| binding_fault(&format!("{path}.matchExpressions"), why))?;
    Ok(selector)
}

fn subjects(subjects: Option<binding::Subjects>, path: &str) -> Result<model::Subjects, LoadFault> {
    let subjects = subjects.unwrap_or_default();
    for (index, account) in subjects.service_accounts.iter().enumerate() {
        let parts = account.split_once(':');
        if !parts
            .is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
        {
            let path = format!("{path}.serviceAccounts[{index}]");
            return Err(binding_fault(&path, format!("`{account}` is not `namespace:name`")));
        }
    }
    Ok(model::Subjects {
        users: subjects.users,
        groups: subjects.groups,
        service_accounts: subjects.service_accounts,
    })
}
