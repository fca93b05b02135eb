//! The policy as it is compiled and asked, with a binding for each level and version.

use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Finding, Loaded, PolicyBinding, Source, Sources, decode_review};
use policies::rego::{EvaluationPath, RegoProgram};
use policies::wasm::{WasmConfig, WasmRuntime};
use policies::{Compiler, Evaluator, Limits};
use serde_json::{Value, json};
use xtask::workspace;

/// The newest version that the policy knows: v1.36.
pub const NEWEST: u32 = 36;
pub const LEVELS: [&str; 2] = ["baseline", "restricted"];

/// The policy, compiled once; which of its bindings is asked, a request's namespace says.
pub struct Judge {
    evaluator: Evaluator,
    /// How many requests were judged.
    pub asked: u32,
    /// What their evaluations took together.
    pub took: Duration,
}

/// The policy from the library and the bindings from the samples.
pub fn sources() -> Sources {
    let mut sources = tenancy::files::load(&workspace::root().join("policies/library")).unwrap();
    let samples = tenancy::files::load(&workspace::root().join("deploy/samples/pod-security")).unwrap();
    sources.bindings.extend(samples.bindings);
    sources
}

impl Judge {
    pub fn new() -> Self {
        let mut sources = sources();
        let sample = sources.bindings.pop().unwrap().value.unwrap();
        assert_eq!(sample.name, "pods-should-be-restricted");
        let versions = (0..=NEWEST).map(|minor| format!("v1.{minor}")).chain(["latest".to_owned()]);
        let pairs = versions.flat_map(|version| LEVELS.map(|level| (level, version.clone())));
        sources.bindings = pairs.map(|(level, version)| bound(&sample, level, &version)).collect();

        // Beside other tests an evaluation takes longer than on a server.
        let limits = Limits { timeout: Duration::from_secs(2), ..Limits::default() };
        let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 1, limits }).unwrap();
        let build = Compiler::new(runtime, limits).build(&sources);
        let fault = build.policies.iter().chain(&build.bindings).find_map(|status| status.fault.clone());
        assert_eq!(fault, None);
        let (_, events) = crossbeam_channel::unbounded();
        let mut evaluator = Evaluator::new(events);
        evaluator.adopt(build.set);
        Self { evaluator, asked: 0, took: Duration::ZERO }
    }

    /// What a level at a version finds in an object that is created.
    pub fn create(&mut self, level: &str, version: &str, object: &Value) -> Vec<Finding> {
        self.review(level, version, json!({"operation": "CREATE", "object": object}))
    }

    /// What a level at a version finds in an update, of a subresource where one is named.
    pub fn update(
        &mut self,
        (level, version): (&str, &str),
        sub_resource: &str,
        old: &Value,
        new: &Value,
    ) -> Vec<Finding> {
        let request =
            json!({"operation": "UPDATE", "subResource": sub_resource, "object": new, "oldObject": old});
        self.review(level, version, request)
    }

    fn review(&mut self, level: &str, version: &str, mut request: Value) -> Vec<Finding> {
        let (api, kind) = {
            let text = |name: &str| request["object"][name].as_str().unwrap().to_owned();
            (text("apiVersion"), text("kind"))
        };
        let (group, api_version) = api.split_once('/').unwrap_or(("", &api));
        request["uid"] = "u".into();
        request["kind"] = json!({"group": group, "version": api_version, "kind": kind});
        let resource = format!("{}s", kind.to_lowercase());
        request["resource"] = json!({"group": group, "version": api_version, "resource": resource});
        request["name"] = request["object"]["metadata"]["name"].clone();
        request["namespace"] = place(level, version).into();
        request["userInfo"] = json!({"username": "ada"});
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let request = decode_review(&Bytes::from(review.to_string())).unwrap();
        let start = Instant::now();
        let evaluation = self.evaluator.validate(&request, start + Duration::from_secs(5));
        self.took += start.elapsed();
        self.asked += 1;
        assert_eq!(evaluation.failures, [], "{review}");
        assert_eq!(evaluation.policies.len(), 1, "no binding was asked: {review}");
        evaluation.findings
    }
}

/// The codes of findings, in their order.
pub fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn place(level: &str, version: &str) -> String {
    format!("{level}-{}", version.replace('.', "-"))
}

fn bound(sample: &PolicyBinding, level: &str, version: &str) -> Loaded<PolicyBinding> {
    let mut binding = sample.clone();
    binding.name = place(level, version);
    binding.rules.namespaces = vec![binding.name.clone()];
    binding.parameters = json!({"level": level, "version": version});
    Loaded { name: binding.name.clone(), generation: 0, value: Ok(binding) }
}

#[test]
fn the_policy_runs_on_the_virtual_machine_and_the_samples_fit_it() {
    let sources = sources();
    let policy = sources.policies[0].value.clone().unwrap();
    let Source::Rego { version, modules } = &policy.source else { panic!("it is written in Rego") };
    let program = RegoProgram::compile(*version, modules, false, false, &Limits::default()).unwrap();
    assert_eq!(program.path(), EvaluationPath::Rvm, "{:?}", program.fallback_reason());

    let limits = Limits::default();
    let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 1, limits }).unwrap();
    let mut compiler = Compiler::new(runtime, limits);
    let build = compiler.build(&sources);
    let faults: Vec<_> = build.bindings.iter().map(|status| &status.fault).collect();
    assert_eq!(faults, [&None, &None]);

    let sample = sources.bindings[0].value.clone().unwrap();
    for (fits, parameters) in [
        (true, json!({"level": "baseline"})),
        (true, json!({"level": "baseline", "version": "v1.0"})),
        (true, json!({"level": "restricted", "version": format!("v1.{NEWEST}")})),
        (false, json!({})),
        (false, json!({"level": "privileged"})),
        (false, json!({"level": "baseline", "version": "1.30"})),
        (false, json!({"level": "baseline", "version": "v1.07"})),
        (false, json!({"level": "baseline", "version": format!("v1.{}", NEWEST + 1)})),
        (false, json!({"level": "baseline", "levels": []})),
    ] {
        let binding = PolicyBinding { parameters, ..sample.clone() };
        let outcome = compiler.check_binding(&binding);
        assert_eq!(outcome.is_ok(), fits, "{}: {outcome:?}", binding.parameters);
    }
}

#[test]
fn every_check_has_a_message_and_is_in_the_book() {
    let policy = sources().policies[0].value.clone().unwrap();
    let page = std::fs::read_to_string(workspace::root().join("docs/authoring/pod-security.md")).unwrap();
    let table = page.split_once("## Checks").unwrap().1.split_once("## What is judged").unwrap().0;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: Vec<_> = rows.map(|(code, _)| code).collect();
    let codes: Vec<_> = policy.messages.keys().collect();
    assert_eq!(documented, codes);
}
