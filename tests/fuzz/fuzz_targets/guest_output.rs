//! Any bytes as what a wasm guest answers, and any JSON as what a Rego rule yields.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use model::{RegoModule, RegoVersion};
use policies::Limits;
use policies::rego::{RegoInstance, RegoProgram, input};

thread_local! {
    static ECHO: RefCell<RegoInstance> = RefCell::new(echo());
}

/// A policy whose rules are whatever the parameters say.
fn echo() -> RegoInstance {
    let text = "package echo\ndeny := input.parameters\npatch := input.parameters";
    let modules = [RegoModule { name: "policy.rego".into(), text: text.into() }];
    RegoProgram::compile(RegoVersion::V1, &modules, false, true, &Limits::default())
        .expect("the policy compiles")
        .instantiate()
        .expect("the policy is instantiated")
}

fuzz_target!(|data: &[u8]| {
    policies::wasm::fuzz_answer(data);
    let Ok(value) = input::decode(data) else { return };
    let envelope = || input::envelope(&input::from_json(&serde_json::json!({})), &value);
    ECHO.with_borrow_mut(|instance| {
        let (limits, budget) = (Limits::default(), Duration::from_secs(1));
        let empty = || input::from_json(&serde_json::json!({}));
        let _ = instance.validate(envelope(), empty(), &limits, budget);
        let _ = instance.mutate(envelope(), empty(), &limits, budget);
    });
});
