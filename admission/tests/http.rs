//! The routes, without a socket: what each kind of good and bad review is answered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use admission::{Admission, AdmissionMetrics, Contact, Guard, HttpLimits, Parts, Peer, router};
use audit::{AuditConfig, AuditMetrics, AuditReader, AuditSink, Filter};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::{Extension, Router};
use http_body_util::BodyExt;
use model::{
    Code, LoadFault, Loaded, MatchRules, Policy, PolicyBinding, PolicyLimits, RegoModule, RegoVersion,
    ResourceRule, Source, Sources,
};
use policies::wasm::{WasmConfig, WasmRuntime};
use policies::{Compiler, EvaluationPool, Limits, PoolConfig};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

struct World {
    routes: Router,
    pool: Arc<EvaluationPool>,
    ready: Arc<AtomicBool>,
    sink: AuditSink,
    folder: tempfile::TempDir,
    _task: audit::AuditTask,
}

impl World {
    async fn start(threads: usize, queue: usize, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        let config = AuditConfig::new(folder.path().join("audit.db"));
        let (sink, task) = AuditSink::open(config, AuditMetrics::register(&mut registry)).await.unwrap();
        let pool = Arc::new(EvaluationPool::start(PoolConfig { threads, queue }).unwrap());
        let limits = Limits::default();
        let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 2, limits }).unwrap();
        let build = Compiler::new(runtime, limits).build(&sources(rules));
        assert!(build.policies.iter().all(|status| status.fault.is_none()), "{:?}", build.policies);
        pool.publish(&build.set);
        let ready = Arc::new(AtomicBool::new(true));
        let admission = Admission::new(Parts {
            pool: Arc::clone(&pool),
            seats: fairness::seats::Seats::new(threads, queue),
            audit: sink.clone(),
            metrics: AdmissionMetrics::register(&mut registry),
            guard: Guard::new(
                tokio::sync::watch::channel(Arc::default()).1,
                tokio::sync::watch::channel(Arc::default()).1,
                [],
            ),
            budgets: None,
            hostnames: None,
            rates: None,
            exceptions: tokio::sync::watch::channel(Arc::default()).1,
            check: Arc::new(|request| match request.name.as_str() {
                "bad" => Err(LoadFault::new(Code::PolicyInvalid, "line 3 is wrong")),
                _ => Ok(vec!["noted".to_owned()]),
            }),
            contact: Contact(Some("platform@example.org".to_owned())),
            ready: Arc::clone(&ready),
        });
        let routes = router(Arc::new(admission), HttpLimits { body_bytes: 64 << 10 });
        Self { routes, pool, ready, sink, folder, _task: task }
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        self.post_as(path, body, Peer::Unchecked).await
    }

    async fn post_as(&self, path: &str, body: impl Into<Body>, peer: Peer) -> (StatusCode, Value) {
        let request = Request::post(path).body(body.into()).unwrap();
        let response = self.routes.clone().layer(Extension(peer)).oneshot(request).await.unwrap();
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&text).unwrap())
    }
}

fn sources(rules: &str) -> Sources {
    let policy = Policy {
        name: "no-latest".into(),
        generation: 1,
        source: Source::Rego {
            version: RegoVersion::V1,
            modules: vec![RegoModule { name: "policy.rego".into(), text: format!("package t\n{rules}") }],
        },
        mutates: rules.contains("patch"),
        parameter_schema: None,
        messages: Default::default(),
        lookups: vec![],
        limits: PolicyLimits::default(),
    };
    let binding = PolicyBinding {
        name: "pods".into(),
        generation: 1,
        policy: "no-latest".into(),
        parameters: json!({}),
        rules: MatchRules {
            resources: vec![ResourceRule {
                groups: vec![String::new()],
                kinds: vec!["Pod".into()],
                ..ResourceRule::default()
            }],
            ..MatchRules::default()
        },
        enforcement: Default::default(),
        failure_policy: Default::default(),
        order: 0,
        exceptions: false,
    };
    Sources {
        policies: vec![Loaded { name: "no-latest".into(), generation: 1, value: Ok(policy) }],
        bindings: vec![Loaded { name: "pods".into(), generation: 1, value: Ok(binding) }],
    }
}

const NO_LATEST: &str = r#"deny contains "use a fixed tag" if endswith(input.review.object.spec.containers[_].image, ":latest")
patch contains {"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}} if not input.review.object.metadata.labels"#;

fn pod_review(image: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web", "namespace": "team-a", "operation": "CREATE",
            "userInfo": {"username": "ada"},
            "object": {"metadata": {"name": "web"}, "spec": {"containers": [{"image": image}]}},
        },
    })
}

fn own_review(name: &str) -> Value {
    let mut review = pod_review("x");
    review["request"]["resource"] =
        json!({"group": "bailey.dev", "version": "v1alpha1", "resource": "policies"});
    review["request"]["kind"] = json!({"group": "bailey.dev", "version": "v1alpha1", "kind": "Policy"});
    review["request"]["name"] = json!(name);
    review
}

#[tokio::test]
async fn a_refusal_has_message_status_and_a_record_under_its_id() {
    let world = World::start(1, 8, NO_LATEST).await;
    let (status, review) = world.post("/validate?timeout=5s", pod_review("a:latest").to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let response = &review["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-1"), &json!(false)));
    assert_eq!(response["status"]["code"], 403);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("use a fixed tag") && message.contains("platform@example.org"), "{message}");
    let id = response["auditAnnotations"]["decision"].as_str().unwrap();
    assert!(message.contains(id));

    world.sink.flush().await;
    let mut reader = AuditReader::open(&world.folder.path().join("audit.db")).await.unwrap();
    let record = reader.get(id).await.unwrap().record;
    assert_eq!(
        (record.username.as_str(), record.allowed, record.code.as_str()),
        ("ada", false, "policy_denied")
    );
    assert_eq!(record.findings[0].message, "use a fixed tag");
    assert!(record.times.total >= record.times.evaluate);
}

#[tokio::test]
async fn an_allowed_review_is_recorded_too_and_mutation_patches() {
    let world = World::start(1, 8, NO_LATEST).await;
    let (_, review) = world.post("/validate", pod_review("a:1").to_string()).await;
    assert_eq!(review["response"]["allowed"], true);
    let (_, review) = world.post("/mutate", pod_review("a:1").to_string()).await;
    assert_eq!(review["response"]["patchType"], "JSONPatch");
    world.sink.flush().await;
    let mut reader = AuditReader::open(&world.folder.path().join("audit.db")).await.unwrap();
    let records = reader.tail(&Filter::default()).await.unwrap();
    let phases: Vec<_> =
        records.iter().map(|entry| (entry.record.phase.as_str(), entry.record.patched)).collect();
    assert_eq!(phases, [("validate", false), ("mutate", true)]);
}

#[tokio::test]
async fn bad_bodies_have_their_status_and_code_and_harm_nothing() {
    let world = World::start(1, 8, NO_LATEST).await;
    let beta = pod_review("a:1").to_string().replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let no_uid = pod_review("a:1").to_string().replace("\"u-1\"", "\"\"");
    let cases = [
        (String::new(), 400, "review_malformed"),
        ("{\"apiVersion\":".to_owned(), 400, "review_malformed"),
        ("\u{0}\u{1}".to_owned(), 400, "review_malformed"),
        ("[".repeat(10_000), 400, "review_too_deep"),
        ("x".repeat(65 << 10), 413, "review_too_large"),
        (beta, 400, "review_version"),
        (no_uid, 400, "review_malformed"),
    ];
    for (body, expected, code) in cases {
        let (status, answer) = world.post("/validate", body).await;
        assert_eq!((status.as_u16(), &answer["details"]["causes"][0]["reason"]), (expected, &json!(code)));
        assert_eq!(answer["kind"], "Status");
        let (_, review) = world.post("/validate", pod_review("a:1").to_string()).await;
        assert_eq!(review["response"]["allowed"], true, "the next review is fine");
    }
    let (status, answer) = world.post("/validate?timeout=soon", pod_review("a:1").to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
}

#[tokio::test]
async fn an_object_no_engine_can_read_is_refused() {
    let world = World::start(1, 8, NO_LATEST).await;
    let review =
        pod_review("a:1").to_string().replace(r#"{"image":"a:1"}"#, r#"{"image":"a:1","x":1e999999}"#);
    let (status, review) = world.post("/validate", review).await;
    assert!(status == StatusCode::BAD_REQUEST || review["response"]["allowed"] == false, "{status} {review}");
}

#[tokio::test]
async fn baileys_own_objects_are_checked_when_they_are_written() {
    let world = World::start(1, 8, NO_LATEST).await;
    let (_, review) = world.post("/validate", own_review("bad").to_string()).await;
    assert_eq!(review["response"]["status"]["code"], 422);
    assert!(review["response"]["status"]["message"].as_str().unwrap().contains("line 3 is wrong"));
    let (_, review) = world.post("/validate", own_review("good").to_string()).await;
    assert_eq!(review["response"]["warnings"], json!(["noted"]));
}

#[tokio::test]
async fn only_the_api_server_may_call_where_clients_are_checked() {
    let world = World::start(1, 8, NO_LATEST).await;
    let body = || pod_review("a:1").to_string();
    assert_eq!(world.post_as("/validate", body(), Peer::Untrusted).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.post_as("/validate", body(), Peer::Trusted).await.0, StatusCode::OK);
}

#[tokio::test]
async fn before_the_first_load_everything_is_refused_for_now() {
    let world = World::start(1, 8, NO_LATEST).await;
    world.ready.store(false, Ordering::Release);
    let (_, review) = world.post("/validate", pod_review("a:1").to_string()).await;
    assert_eq!(review["response"]["status"]["code"], 503);
    assert_eq!(review["response"]["status"]["details"]["retryAfterSeconds"], 2);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_a_busy_thread_in_time() {
    let world = World::start(1, 1, NO_LATEST).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (entered, busy) = std::sync::mpsc::channel::<()>();
    world
        .pool
        .submit(
            soon(),
            Box::new(move |_| {
                entered.send(()).unwrap();
                held.recv_timeout(Duration::from_secs(30)).unwrap();
            }),
        )
        .unwrap();
    busy.recv().unwrap();
    let (_, late) = world.post("/validate?timeout=100ms", pod_review("a:1").to_string()).await;
    assert_eq!(late["response"]["status"]["details"]["causes"][0]["reason"], "deadline_exceeded");
    // The request before has the seat still: of two more one waits, and one finds no place.
    let more = [(); 2].map(|()| world.post("/validate?timeout=100ms", pod_review("a:1").to_string()));
    let mut codes = futures::future::join_all(more).await;
    codes.sort_by_key(|(_, review)| review["response"]["status"]["code"].as_u64());
    let codes = codes.iter().map(|(_, review)| review["response"]["status"]["code"].as_u64());
    assert_eq!(codes.collect::<Vec<_>>(), [Some(429), Some(504)]);
    release.send(()).unwrap();
    while world.pool.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    let (_, review) = world.post("/validate?timeout=10s", pod_review("a:1").to_string()).await;
    assert_eq!(review["response"]["allowed"], true, "{review}");
}

/// A deadline that no test reaches.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_thread_that_does_not_come_back_is_replaced_with_all_it_knew() {
    let world = World::start(1, 8, NO_LATEST).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    world.pool.submit(Instant::now(), Box::new(move |_| held.recv().unwrap_or_default())).unwrap();
    let (_, review) = world.post("/validate?timeout=20s", pod_review("a:latest").to_string()).await;
    assert_eq!(review["response"]["status"]["code"], 403, "{review}");
    assert_eq!(world.pool.threads(), 1);
    assert_eq!(world.pool.counts().replaced.load(Ordering::Relaxed), 1);
    release.send(()).unwrap();
    while world.pool.counts().late.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_panic_costs_one_answer_only() {
    let world = World::start(1, 8, NO_LATEST).await;
    world.pool.submit(soon(), Box::new(|_| panic!("a fault in an engine"))).unwrap();
    let (_, review) = world.post("/validate", pod_review("a:latest").to_string()).await;
    assert_eq!(review["response"]["status"]["code"], 403, "{review}");
    assert_eq!(world.pool.counts().panics.load(Ordering::Relaxed), 1);
}
