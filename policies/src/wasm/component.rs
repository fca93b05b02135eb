use model::{Code, Digest, LoadFault, LookupKind, Observation};
use serde_json::{Map, Value};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use self::bindings::bailey::policy::host::{self, Level, ObjectKind};
use self::bindings::bailey::policy::types;
use self::bindings::{Finding, Mutation as GuestMutation, Policy, PolicyPre};
use super::bounds::{self, Bounds, Guest};
use super::cache::ModuleCache;
use super::{Call, fault, lookup};
use crate::{Answer, EvaluationError, Mutation};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wasm-plugins/wit",
        world: "policy",
        imports: { default: trappable },
    });
}

/// Links components against Bailey's own interface.
pub(super) struct Loader(Linker<State>);

/// A component ready to be instantiated.
pub(super) struct Module(PolicyPre<State>);

/// The data of a component's store.
pub(super) struct State(Bounds);

impl Guest for State {
    fn bounds(&mut self) -> &mut Bounds {
        &mut self.0
    }
}

impl Loader {
    pub(super) fn new(engine: &Engine) -> Result<Self, LoadFault> {
        let mut linker = Linker::new(engine);
        Policy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
            .map_err(|error| LoadFault::new(Code::Internal, fault::error_text(&error)))?;
        Ok(Self(linker))
    }

    pub(super) fn load(
        &self,
        engine: &Engine,
        cache: Option<&ModuleCache>,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<Module, LoadFault> {
        let invalid = |what: &str, error: wasmtime::Error| {
            LoadFault::new(
                Code::PolicyInvalid,
                format!("the component {what}: {}", fault::error_text(&error)),
            )
        };
        let component = match cache.and_then(|cache| cache.component(engine, digest)) {
            Some(component) => component,
            None => {
                let component =
                    Component::new(engine, bytes).map_err(|error| invalid("does not compile", error))?;
                if let Some(cache) = cache {
                    cache.store(digest, component.serialize());
                }
                component
            }
        };
        let linked = self.0.instantiate_pre(&component);
        let linked = linked.map_err(|error| invalid("does not fit the host's imports", error))?;
        PolicyPre::new(linked)
            .map(Module)
            .map_err(|error| invalid("does not fit world `bailey:policy/policy`", error))
    }
}

impl Module {
    pub(super) fn validate(&self, engine: &Engine, call: &Call<'_>) -> Result<Answer, EvaluationError> {
        let request = text(call)?;
        let findings = self
            .run(engine, call, |policy, store| policy.call_validate(store, request, call.settings_json()))?;
        if findings.len() > call.limits.findings {
            return Err(too_many(findings.len(), call.limits.findings));
        }
        let observations = findings.into_iter().map(observation).collect::<Result<_, _>>()?;
        Ok(Answer { observations, mutation: None })
    }

    pub(super) fn mutate(&self, engine: &Engine, call: &Call<'_>) -> Result<Answer, EvaluationError> {
        let request = text(call)?;
        let mutation =
            self.run(engine, call, |policy, store| policy.call_mutate(store, request, call.settings_json()))?;
        let mutation =
            mutation.map(|mutation| decode_mutation(mutation, call.limits.findings)).transpose()?;
        Ok(Answer { observations: Vec::new(), mutation })
    }

    pub(super) fn validate_settings(
        &self,
        engine: &Engine,
        call: &Call<'_>,
    ) -> Result<Result<(), String>, EvaluationError> {
        let answer = self.run(engine, call, |policy, store| {
            Ok(Ok(policy.call_validate_settings(store, call.settings_json())?))
        })?;
        Ok(answer.map_err(|text| fault::one_line(&text)))
    }

    pub(super) fn start(&self, engine: &Engine, call: &Call<'_>) -> Result<(), EvaluationError> {
        self.run(engine, call, |_, _| Ok(Ok(())))
    }

    /// Instantiates the component, calls it and explains what went wrong.
    fn run<R>(
        &self,
        engine: &Engine,
        call: &Call<'_>,
        ask: impl FnOnce(&Policy, &mut Store<State>) -> wasmtime::Result<Result<R, String>>,
    ) -> Result<R, EvaluationError> {
        let mut store = bounds::store(engine, State(Bounds::new(call.limits, call.budget)));
        let answer = self.0.instantiate(&mut store).and_then(|policy| ask(&policy, &mut store));
        let bounds = &store.data().0;
        match answer {
            Ok(_) if bounds.is_late() => Err(fault::late(bounds)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(text)) => Err(fault::guest_error(&text, bounds)),
            Err(error) => Err(fault::evaluation_error(&error, bounds)),
        }
    }
}

fn text<'a>(call: &Call<'a>) -> Result<&'a str, EvaluationError> {
    std::str::from_utf8(call.request).map_err(|error| {
        EvaluationError::new(Code::ReviewMalformed, format!("the request is not UTF-8: {error}"))
    })
}

fn observation(finding: Finding) -> Result<Observation, EvaluationError> {
    let details = match finding.details.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|error| {
            fault::invalid(format_args!("a finding's `details` are not a JSON object: {error}"))
        })?,
    };
    let Finding { message, code, path, warn_only, .. } = finding;
    Ok(Observation { code, message, path, details, warn_only })
}

fn decode_mutation(mutation: GuestMutation, most: usize) -> Result<Mutation, EvaluationError> {
    match mutation {
        GuestMutation::Object(text) => serde_json::from_str::<Map<String, Value>>(&text)
            .map(|object| Mutation::Object(Value::Object(object)))
            .map_err(|error| {
                fault::invalid(format_args!("the changed object is not a JSON object: {error}"))
            }),
        GuestMutation::Patch(text) => {
            let operations: Vec<Value> = serde_json::from_str(&text)
                .map_err(|error| fault::invalid(format_args!("the patch is not a JSON array: {error}")))?;
            if operations.len() > most {
                Err(too_many(operations.len(), most))
            } else {
                Ok(Mutation::Patch(operations))
            }
        }
    }
}

fn too_many(found: usize, most: usize) -> EvaluationError {
    let message = format!("the policy returned {found} findings or operations, the limit is {most}");
    EvaluationError::new(Code::PolicyOutputTooLarge, message)
}

impl types::Host for State {}

impl host::Host for State {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.0.count_host_call()?;
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        if level == "error" {
            self.0.last_words = Some(fault::one_line(&message));
        }
        lookup::log(level, &message);
        Ok(())
    }

    fn get_object(
        &mut self,
        kind: ObjectKind,
        namespace: Option<String>,
        name: String,
    ) -> wasmtime::Result<Result<Option<String>, String>> {
        self.0.count_host_call()?;
        let found = lookup::get(lookup_kind(kind), namespace.unwrap_or_default(), name);
        Ok(found.map(|object| object.map(|json| json.to_string())).map_err(|fault| self.0.note(fault)))
    }

    fn list_objects(
        &mut self,
        kind: ObjectKind,
        namespace: Option<String>,
        label_selector: String,
    ) -> wasmtime::Result<Result<Vec<String>, String>> {
        self.0.count_host_call()?;
        let found = lookup::list(&lookup_kind(kind), namespace.as_deref(), &label_selector);
        let texts = found.map(|objects| objects.iter().map(ToString::to_string).collect());
        Ok(texts.map_err(|fault| self.0.note(fault)))
    }

    fn now(&mut self) -> wasmtime::Result<u64> {
        self.0.count_host_call()?;
        Ok(lookup::now())
    }
}

fn lookup_kind(kind: ObjectKind) -> LookupKind {
    LookupKind { group: kind.group, version: kind.version, kind: kind.kind }
}
