use std::time::{Duration, Instant};

use model::{Code, WasmInterface};

use super::guests;
use crate::Limits;
use crate::wasm::WasmModule;

/// What a case says must happen.
struct Expected {
    at_load: bool,
    code: String,
    says: String,
}

fn expected(text: &str) -> Option<Expected> {
    let line =
        |prefix: &str| text.lines().find_map(|line| line.trim().strip_prefix(prefix)).map(str::to_owned);
    let (at_load, code) = match (line(";; load: "), line(";; validate: ")) {
        (Some(code), _) => (true, code),
        (None, Some(code)) => (false, code),
        (None, None) => return None,
    };
    Some(Expected { at_load, code, says: line(";; says: ").unwrap_or_default() })
}

fn run_all(interface: WasmInterface) {
    let good = guests::good(interface);
    let mut names: Vec<String> = std::fs::read_dir(guests::folder(interface))
        .expect("the hostile set")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".wat").map(str::to_owned))
        .collect();
    names.sort();
    let mut ran = 0;
    for name in names {
        let text = guests::read(interface, &name);
        let Some(expected) = expected(&text) else { continue };
        ran = usize::saturating_add(ran, 1);
        let (at_load, code, message) = outcome(interface, &text);
        assert_eq!((at_load, code.as_str()), (expected.at_load, &*expected.code), "{name}: {message}");
        assert!(message.contains(&expected.says), "{name}: `{message}` lacks `{}`", expected.says);
        assert!(message.lines().count() == 1 && !message.ends_with('.'), "{name}: {message}");
        answers(&good, &name);
    }
    assert!(ran >= 25, "only {ran} cases were found");
}

/// What happened: whether at load, the code, the message.
fn outcome(interface: WasmInterface, text: &str) -> (bool, Code, String) {
    let limits = Limits { timeout: Duration::from_millis(300), ..Limits::default() };
    match guests::load(interface, &guests::assemble(interface, text)) {
        Err(fault) => (true, fault.code, fault.message),
        Ok(module) => {
            let started = Instant::now();
            let error = guests::validate(&module, &limits).expect_err("the guest is hostile");
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "contained only after {:?}",
                started.elapsed()
            );
            (false, error.code, error.message)
        }
    }
}

fn answers(good: &WasmModule, after: &str) {
    let answer = guests::validate(good, &Limits { timeout: Duration::from_secs(5), ..Limits::default() });
    let answer = answer.unwrap_or_else(|error| panic!("after {after}: {error}"));
    assert_eq!(answer.observations.len(), 1, "after {after}");
    assert_eq!(answer.observations[0].message, "found", "after {after}");
}

#[test]
fn hostile_components_are_contained() {
    run_all(WasmInterface::Bailey);
}

#[test]
fn hostile_wapc_modules_are_contained() {
    run_all(WasmInterface::Kubewarden);
}

#[test]
fn bytes_that_are_no_module_are_refused_with_the_reason() {
    use WasmInterface::{Bailey, Kubewarden};
    let component = guests::assemble(Bailey, &guests::read(Bailey, "good"));
    let core = guests::assemble(Kubewarden, &guests::read(Kubewarden, "good"));
    let cut = &core[..core.len() - 20];
    let mut damaged = component.clone();
    damaged.iter_mut().skip(60).step_by(7).for_each(|byte| *byte ^= 0x5a);
    let cases: [(WasmInterface, &[u8], &str); 7] = [
        (Bailey, b"", "not a WebAssembly binary"),
        (Bailey, b"#!/bin/sh\nexit 0\n", "not a WebAssembly binary"),
        (Kubewarden, b"(module)", "not a WebAssembly binary"),
        (Bailey, &core, "this is a core module"),
        (Kubewarden, &component, "this is a component"),
        (Kubewarden, cut, "offset"),
        (Bailey, &damaged, ""),
    ];
    for (interface, bytes, says) in cases {
        let fault = guests::load(interface, bytes).expect_err("no module");
        assert_eq!(fault.code, Code::PolicyInvalid);
        assert!(fault.message.contains(says), "`{}` lacks `{says}`", fault.message);
    }
    let other = guests::digest(b"other");
    let fault =
        guests::runtime().compile(Kubewarden, &core, &other, &Limits::default()).expect_err("another digest");
    assert_eq!(fault.code, Code::ModuleDigestMismatch);
    let small = Limits { module_bytes: 10, ..Limits::default() };
    let fault =
        guests::runtime().compile(Kubewarden, &core, &guests::digest(&core), &small).expect_err("too large");
    assert!(fault.message.contains("the limit is 10"), "{}", fault.message);
}
