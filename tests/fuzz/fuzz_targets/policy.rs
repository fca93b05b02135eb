//! Any bytes as a configuration object, and any text as Rego: compiled or refused, never a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{RegoModule, RegoVersion};
use policies::Limits;
use policies::rego::RegoProgram;

fuzz_target!(|data: &[u8]| {
    let _ = tenancy::api::decode(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    for version in [RegoVersion::V0, RegoVersion::V1] {
        let modules = [RegoModule { name: "policy.rego".into(), text: text.into() }];
        let _ = RegoProgram::compile(version, &modules, true, false, &Limits::default());
    }
});
