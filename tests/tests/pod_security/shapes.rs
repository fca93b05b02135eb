//! What the fixtures do not have: Pod templates, ephemeral containers, updates, messages, sizes.

use serde_json::{Value, json};

use super::judge::{Judge, LEVELS, codes};

/// A Pod without any fault at either level.
fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("web")],
        },
    })
}

fn container(name: &str) -> Value {
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({"name": name, "image": "registry.example.com/web:1", "securityContext": security})
}

/// The Pod with a value at a JSON pointer below its spec.
fn with(pointer: &str, value: Value) -> Value {
    let mut pod = pod();
    *pod.pointer_mut("/spec").unwrap() = set(&pod["spec"], pointer, value);
    pod
}

fn set(whole: &Value, pointer: &str, value: Value) -> Value {
    let mut whole = whole.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    whole.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"))[name] = value;
    whole
}

fn privileged() -> Value {
    with("/containers/0/securityContext/privileged", json!(true))
}

/// Every kind with a Pod template, around the template of this Pod, and where its spec is.
fn workloads(pod: &Value) -> Vec<(Value, &'static str)> {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod["spec"]});
    let controller = |api: &str, kind: &str| {
        let spec = json!({"replicas": 2, "template": template});
        (
            json!({"apiVersion": api, "kind": kind, "metadata": {"name": "web"}, "spec": spec}),
            "spec.template.spec",
        )
    };
    let mut all: Vec<_> = ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]
        .into_iter()
        .map(|kind| controller("apps/v1", kind))
        .collect();
    all.extend([controller("v1", "ReplicationController"), controller("batch/v1", "Job")]);
    let cron = json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}});
    let cron =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web"}, "spec": cron});
    all.push((cron, "spec.jobTemplate.spec.template.spec"));
    let bare =
        json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "web"}, "template": template});
    all.push((bare, "template.spec"));
    all
}

#[test]
fn templates_of_every_kind_are_judged_as_their_pods_are() {
    let mut judge = Judge::new();
    for level in LEVELS {
        for (object, place) in workloads(&privileged()) {
            let findings = judge.create(level, "latest", &object);
            assert_eq!(codes(&findings), ["privileged"], "{object}");
            assert_eq!(findings[0].path, format!("{place}.containers[0].securityContext.privileged"));
        }
        for (object, _) in workloads(&pod()) {
            assert_eq!(judge.create(level, "latest", &object), [], "{object}");
        }
    }
}

#[test]
fn an_update_is_judged_where_it_changes_what_runs() {
    let mut judge = Judge::new();
    let baseline = ("baseline", "latest");
    let old = privileged();
    let labelled = set(&old, "/metadata/labels", json!({"a": "b"}));
    let rolled = set(&old, "/spec/containers/0/image", "registry.example.com/web:2".into());
    assert_eq!(judge.update(baseline, "", &old, &labelled), []);
    assert_eq!(codes(&judge.update(baseline, "", &old, &rolled)), ["privileged"]);
    for (old, _) in workloads(&old) {
        let labelled = set(&old, "/metadata/labels", json!({"a": "b"}));
        assert_eq!(judge.update(baseline, "", &old, &labelled), [], "{labelled}");
    }
    let changed = workloads(&rolled);
    for ((old, _), (new, _)) in workloads(&old).iter().zip(&changed) {
        assert_eq!(codes(&judge.update(baseline, "", old, new)), ["privileged"], "{new}");
    }
}

#[test]
fn ephemeral_containers_are_judged_when_they_are_added() {
    let mut judge = Judge::new();
    let old = pod();
    let mut debug = container("debug");
    debug["securityContext"]["capabilities"]["add"] = json!(["SYS_PTRACE"]);
    let new = with("/ephemeralContainers", json!([debug]));
    for level in LEVELS {
        let findings = judge.update((level, "latest"), "ephemeralcontainers", &old, &new);
        assert_eq!(codes(&findings), ["capabilities"]);
        assert_eq!(findings[0].path, "spec.ephemeralContainers[0].securityContext.capabilities.add");
        assert!(
            findings[0].message.starts_with("ephemeral container \"debug\" has"),
            "{}",
            findings[0].message
        );
        let good = with("/ephemeralContainers", json!([container("debug")]));
        assert_eq!(judge.update((level, "latest"), "ephemeralcontainers", &old, &good), []);
        let resized = set(&new, "/spec/containers/0/resources", json!({"limits": {"cpu": "2"}}));
        assert_eq!(judge.update((level, "latest"), "resize", &new, &resized), []);
        let swapped = set(&resized, "/spec/ephemeralContainers/0/image", "other".into());
        assert_eq!(codes(&judge.update((level, "latest"), "resize", &new, &swapped)), ["capabilities"]);
    }
}

#[test]
fn windows_and_user_namespaces_are_asked_for_less() {
    let mut judge = Judge::new();
    let bare = json!({"name": "web", "image": "web"});
    let mut windows = with("/os", json!({"name": "windows"}));
    windows["spec"]["containers"] = json!([bare]);
    windows["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    assert_eq!(judge.create("restricted", "v1.25", &windows), []);
    let asked = ["allow_privilege_escalation", "capabilities", "seccomp"];
    assert_eq!(codes(&judge.create("restricted", "v1.24", &windows)), asked);
    windows["spec"]["os"]["name"] = "linux".into();
    assert_eq!(codes(&judge.create("restricted", "v1.25", &windows)), asked);

    let mut root = with("/hostUsers", json!(false));
    root["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
    root["spec"]["securityContext"]["runAsUser"] = json!(0);
    root["spec"]["containers"][0]["securityContext"]["procMount"] = "Unmasked".into();
    assert_eq!(judge.create("baseline", "v1.35", &root), []);
    assert_eq!(codes(&judge.create("baseline", "v1.34", &root)), ["proc_mount"]);
    assert_eq!(codes(&judge.create("restricted", "v1.35", &root)), ["proc_mount"]);
    let all = ["proc_mount", "run_as_non_root", "run_as_user"];
    assert_eq!(codes(&judge.create("restricted", "v1.34", &root)), all);
}

#[test]
fn a_message_says_where_what_and_what_would_pass() {
    let mut judge = Judge::new();
    let bare = json!({"name": "web", "image": "web", "ports": [{"hostPort": 80}]});
    let sysctls = json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]});
    let volumes = json!([{"name": "etc", "hostPath": {"path": "/etc"}}]);
    let spec = json!({"containers": [bare], "securityContext": sysctls, "volumes": volumes, "hostPID": true});
    let bad = set(&pod(), "/spec", spec);
    let findings = judge.create("restricted", "v1.28", &bad);
    let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, include_str!("messages.txt").lines().collect::<Vec<_>>());
}

#[test]
fn no_number_of_faults_and_no_value_is_too_much_to_tell() {
    let mut judge = Judge::new();
    let capability = "X".repeat(100_000);
    let faulty = |number: usize| json!({"name": format!("c{number}"), "image": "web", "securityContext": {"capabilities": {"add": [capability]}}});
    let bad = with("/containers", (0..20).map(faulty).collect());
    let findings = judge.create("baseline", "latest", &bad);
    assert_eq!(codes(&findings), ["capabilities"]);
    assert!(findings[0].message.len() < 1_000, "{}", findings[0].message);
    assert!(findings[0].message.contains(", and 16 more; add none but"), "{}", findings[0].message);
    let many = with("/containers", (0..300).map(|_| json!({"name": "c", "image": "web"})).collect());
    assert_eq!(
        codes(&judge.create("restricted", "latest", &many)),
        ["allow_privilege_escalation", "capabilities"]
    );
}

/// Fields that are null or empty are fields that are not there.
#[test]
fn nulls_are_no_way_around() {
    let mut judge = Judge::new();
    for (pointer, code) in [
        ("/securityContext", "run_as_non_root"),
        ("/securityContext/runAsNonRoot", "run_as_non_root"),
        ("/securityContext/seccompProfile", "seccomp"),
        ("/containers/0/securityContext", "allow_privilege_escalation"),
        ("/containers/0/securityContext/allowPrivilegeEscalation", "allow_privilege_escalation"),
        ("/containers/0/securityContext/capabilities", "capabilities"),
        ("/containers/0/securityContext/capabilities/drop", "capabilities"),
    ] {
        let findings = judge.create("restricted", "latest", &with(pointer, Value::Null));
        assert!(codes(&findings).contains(&code), "{pointer}: {findings:?}");
        assert_eq!(judge.create("baseline", "latest", &with(pointer, Value::Null)), [], "{pointer}");
    }
    for pointer in ["/initContainers", "/ephemeralContainers", "/volumes", "/hostUsers", "/os"] {
        let bad = set(&privileged(), &format!("/spec{pointer}"), Value::Null);
        assert_eq!(codes(&judge.create("restricted", "latest", &bad)), ["privileged"], "{pointer}");
    }
    let mut empty = with("/securityContext/seccompProfile", json!({}));
    empty["spec"]["securityContext"]["appArmorProfile"] = json!({});
    assert_eq!(codes(&judge.create("baseline", "latest", &empty)), ["app_armor", "seccomp"]);
}
