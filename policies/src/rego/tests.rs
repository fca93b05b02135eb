//! Policies as an author writes them, against requests as the API server sends them.

mod decoding;
mod differential;
mod hostile;
mod isolation;
mod loading;
mod lookups;
mod semantics;
mod verdicts;

use std::thread;
use std::time::Duration;

use model::{LoadFault, RegoModule, RegoVersion};
use regorus::Value;

use super::{RegoProgram, STACK_BYTES, input};
use crate::{Answer, EvaluationError, Limits};

const V0: RegoVersion = RegoVersion::V0;
const V1: RegoVersion = RegoVersion::V1;

/// Loads on a shared machine take longer than on a server: tests that do not measure time allow more of it.
fn patient() -> Limits {
    Limits { timeout: Duration::from_secs(2), ..Limits::default() }
}

fn module(name: &str, text: &str) -> RegoModule {
    RegoModule { name: name.to_owned(), text: text.to_owned() }
}

fn load(version: RegoVersion, text: &str) -> Result<RegoProgram, LoadFault> {
    RegoProgram::compile(version, &[module("policy.rego", text)], false, false, &Limits::default())
}

/// The message and position of the fault of a policy that must not load.
fn fault(version: RegoVersion, text: &str) -> String {
    let fault = load(version, text).expect_err("the policy must not load");
    assert_eq!(fault.code, model::Code::PolicyInvalid, "{fault}");
    fault.to_string()
}

fn review(json: &str) -> Value {
    input::envelope(&input::decode(json.as_bytes()).unwrap(), &Value::new_object())
}

/// Runs on a thread with the stack that evaluation threads have.
fn on_evaluation_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK_BYTES);
        builder.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

fn ask(program: &RegoProgram, request: &str, limits: &Limits) -> Result<Answer, EvaluationError> {
    on_evaluation_thread(|| {
        let mut instance = program.instantiate()?;
        instance.validate(review(request), Value::new_object(), limits, limits.timeout)
    })
}

/// The messages a policy has for a request.
fn messages(version: RegoVersion, text: &str, request: &str) -> Vec<String> {
    let program = load(version, text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let answer = ask(&program, request, &patient()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    answer.observations.into_iter().map(|observation| observation.message).collect()
}
