use std::sync::OnceLock;
use std::time::Duration;

use model::{Code, WasmInterface};
use proptest::prelude::*;

use super::guests::{self, Objects};
use crate::wasm::{Call, WasmModule};
use crate::{Answer, EvaluationError, Limits};

/// What a guest that answers with nonsense may cause.
const CODES: [Code; 4] =
    [Code::PolicyOutputInvalid, Code::PolicyOutputTooLarge, Code::PolicyError, Code::PolicyTimeout];

fn echo(interface: WasmInterface) -> WasmModule {
    guests::load(interface, &guests::assemble(interface, &guests::read(interface, "echo"))).expect("the echo")
}

fn check<T>(answer: &Result<T, EvaluationError>) {
    if let Err(error) = answer {
        assert!(CODES.contains(&error.code), "{}: {error}", error.code);
        assert_eq!(error.message.lines().count(), 1, "{error}");
    }
}

fn ask(module: &WasmModule, request: &[u8]) -> [Result<Answer, EvaluationError>; 2] {
    let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
    let call = Call {
        request,
        settings: "{}",
        lookups: &Objects::default(),
        declared: &[],
        limits: &limits,
        budget: limits.timeout,
    };
    [module.validate(&call), module.mutate(&call)]
}

/// Texts like a result area: small numbers as four bytes, pointing somewhere near.
fn areas() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just(0_u32), 0..8_u32, 0..0x2_0000_u32], 0..64).prop_map(|words| {
        let bytes = words.into_iter().flat_map(u32::to_le_bytes).map(|byte| byte & 0x7f).collect();
        String::from_utf8(bytes).expect("ASCII")
    })
}

/// Texts like an answer of waPC, some of them one.
fn answers() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("true"),
        Just("false"),
        Just("null"),
        Just("\"x\""),
        Just("[]"),
        Just("{}"),
        Just("7")
    ];
    let name = prop_oneof![
        Just("accepted"),
        Just("message"),
        Just("code"),
        Just("mutated_object"),
        Just("warnings")
    ];
    prop::collection::vec((name, value), 0..6).prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_component_returns_is_an_answer_or_a_documented_error(area in areas()) {
        static ECHO: OnceLock<WasmModule> = OnceLock::new();
        for answer in ask(ECHO.get_or_init(|| echo(WasmInterface::Bailey)), area.as_bytes()) {
            check(&answer);
        }
    }

    #[test]
    fn whatever_a_wapc_guest_answers_is_an_answer_or_a_documented_error(
        answer in prop_oneof![answers().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..200)]
    ) {
        static ECHO: OnceLock<WasmModule> = OnceLock::new();
        let module = ECHO.get_or_init(|| echo(WasmInterface::Kubewarden));
        for answer in ask(module, &answer) {
            check(&answer);
        }
        if let Ok(settings) = std::str::from_utf8(&answer) {
            let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
            check(&module.validate_settings(settings, &limits));
        }
    }
}
