use std::time::{Duration, Instant};

use model::{Code, WasmInterface};

use super::guests::{self, Objects};
use crate::Limits;
use crate::wasm::bounds::MEMORIES;
use crate::wasm::{Call, WasmConfig, WasmRuntime};

const BOTH: [WasmInterface; 2] = [WasmInterface::Bailey, WasmInterface::Kubewarden];

#[test]
fn a_deadline_is_kept_within_a_few_ticks() {
    for interface in BOTH {
        let text = guests::read(interface, "endless-loop");
        let module = guests::load(interface, &guests::assemble(interface, &text)).expect("a module");
        let limits = Limits { timeout: Duration::from_millis(20), ..Limits::default() };
        let started = Instant::now();
        let error = guests::validate(&module, &limits).expect_err("no answer");
        assert_eq!(error.code, Code::PolicyTimeout);
        assert!(error.message.contains("20 ms"), "{error}");
        assert!(started.elapsed() >= Duration::from_millis(20), "stopped after {:?}", started.elapsed());
    }
}

#[test]
fn the_request_s_budget_is_kept_where_it_is_shorter_than_the_limit() {
    let text = guests::read(WasmInterface::Bailey, "endless-loop");
    let module = guests::load(WasmInterface::Bailey, &guests::assemble(WasmInterface::Bailey, &text));
    let limits = Limits { timeout: Duration::from_secs(60), ..Limits::default() };
    let call = Call {
        request: guests::REQUEST,
        settings: "",
        lookups: &Objects::default(),
        declared: &[],
        limits: &limits,
        budget: Duration::from_millis(5),
    };
    let error = module.expect("a module").validate(&call).expect_err("no answer");
    assert_eq!((error.code, error.message.contains("5 ms")), (Code::PolicyTimeout, true), "{error}");
}

#[test]
fn a_policy_s_own_memory_limit_counts() {
    for interface in BOTH {
        // Starts with 128 KiB, which is one byte too much here.
        let module = guests::good(interface);
        let limits = Limits { memory_bytes: (128 << 10) - 1, ..Limits::default() };
        let error = guests::validate(&module, &limits).expect_err("no memory");
        assert_eq!(error.code, Code::PolicyMemory, "{error}");
    }
}

#[test]
fn a_request_that_does_not_fit_a_guest_is_refused_clearly() {
    let limits = Limits { memory_bytes: 256 << 10, ..Limits::default() };
    for (bytes, interface) in [(300 << 10, BOTH[0]), (200 << 10, BOTH[0]), (300 << 10, BOTH[1])] {
        let request = format!("\"{}\"", "x".repeat(bytes));
        let call = Call {
            request: request.as_bytes(),
            settings: "{}",
            lookups: &Objects::default(),
            declared: &[],
            limits: &limits,
            budget: Duration::from_secs(5),
        };
        let error = guests::good(interface).validate(&call).expect_err("too large");
        assert_eq!(error.code, Code::PolicyMemory, "{error}");
    }
}

#[test]
fn nothing_of_a_call_is_left_for_the_next() {
    // Traps unless the memory is as it was at first.
    let text = r#"(func $call (export "__guest_call") (param i32 i32) (result i32)
        (if (i32.load (i32.const 100000)) (then unreachable))
        (i32.store (i32.const 100000) (i32.const 7))
        (call $guest_response (i32.const 1024) (i32.const 30))
        (i32.const 1))
        (data (i32.const 1024) "{\"accepted\":true,\"valid\":true}")"#;
    let interface = WasmInterface::Kubewarden;
    let module = guests::load(interface, &guests::assemble(interface, text)).expect("a module");
    for _ in 0..20 {
        guests::validate(&module, &Limits { timeout: Duration::from_secs(5), ..Limits::default() })
            .expect("an answer");
    }
}

#[test]
fn without_address_space_for_a_pool_guests_still_run() {
    let interface = WasmInterface::Bailey;
    let config = WasmConfig { cache_dir: None, slots: u32::MAX, limits: Limits::default() };
    let runtime = WasmRuntime::new(config).expect("a runtime");
    let bytes = guests::assemble(interface, &guests::read(interface, "good"));
    let module = runtime.compile(interface, &bytes, &guests::digest(&bytes), &Limits::default());
    let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
    let answer = guests::validate(&module.expect("a module"), &limits).expect("an answer");
    assert_eq!(answer.observations.len(), 1);
}

#[test]
fn settings_and_mutations_are_asked_too() {
    for interface in BOTH {
        let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
        let fine = guests::load(interface, &guests::assemble(interface, ";; nothing")).expect("a module");
        assert_eq!(fine.validate_settings("{}", &limits), Ok(Ok(())));
        let call = Call {
            request: guests::REQUEST,
            settings: "",
            lookups: &Objects::default(),
            declared: &[],
            limits: &limits,
            budget: Duration::from_secs(5),
        };
        assert_eq!(fine.mutate(&call).expect("an answer").mutation, None);
        assert_eq!(fine.metadata().mutating, None);
    }
}

#[test]
fn more_guests_than_slots_are_told_so() {
    let interface = WasmInterface::Bailey;
    let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 1, limits: Limits::default() });
    let runtime = runtime.expect("a runtime");
    let load = |name| {
        let bytes = guests::assemble(interface, &guests::read(interface, name));
        runtime.compile(interface, &bytes, &guests::digest(&bytes), &Limits::default()).expect("a module")
    };
    let (endless, good) = (load("endless-loop"), load("good"));
    // The endless ones must overlap, and the good one must never run out of time on a busy machine.
    let limits = Limits { timeout: Duration::from_secs(1), ..Limits::default() };
    let patient = Limits { timeout: Duration::from_secs(60), ..Limits::default() };
    std::thread::scope(|scope| {
        // A slot has room for a guest of several memories; these have one each.
        // One that found no slot, as the good guest had it, tries again: at last they hold them all.
        let endlessly = || {
            let overloaded = |error: crate::EvaluationError| error.code == Code::Overloaded;
            while guests::validate(&endless, &limits).is_err_and(overloaded) {}
        };
        let busy: Vec<_> = (0..MEMORIES).map(|_| scope.spawn(endlessly)).collect();
        let mut codes = std::collections::BTreeSet::new();
        while !busy.iter().all(|guest| guest.is_finished()) {
            codes.insert(
                guests::validate(&good, &patient).map_or_else(|error| error.code.as_str(), |_| "fine"),
            );
        }
        assert!(codes.contains(Code::Overloaded.as_str()), "{codes:?}");
        assert!(codes.is_subset(&["fine", Code::Overloaded.as_str()].into()), "{codes:?}");
    });
    assert!(guests::validate(&good, &patient).is_ok());
}
