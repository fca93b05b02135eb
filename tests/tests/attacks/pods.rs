use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tests::{ALICE, World, documents, refusal};

use crate::{Attack, SIEGE, here, run, siege};

/// What every Pod of the tests has beside the part that matters.
macro_rules! pod {
    ($name:literal, $spec:literal) => {
        concat!(
            "{apiVersion: v1, kind: Pod, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {nodeSelector: {pool: siege}, ",
            $spec,
            "}}"
        )
    };
}

const GOOD: &str = "containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]";

#[tokio::test]
async fn images_volumes_and_containers() {
    run(&[
        Attack {
            wall: "images",
            says: "the image `docker.io/library/nginx` is not allowed, use `registry.example.com/*`",
            attack: pod!("a1", "containers: [{name: c, image: nginx, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("a1", "containers: [{name: c, image: registry.example.com/nginx, resources: {requests: {cpu: 1m}}}]"),
        },
        Attack {
            wall: "images",
            says: "container `i`",
            attack: pod!("a2", "initContainers: [{name: i, image: evil.example.com/registry.example.com/x}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: "",
        },
        Attack {
            wall: "images",
            says: "imagePullPolicy `Never` is not allowed",
            attack: pod!("a3", "containers: [{name: c, image: registry.example.com/c, imagePullPolicy: Never, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("a3", "containers: [{name: c, image: registry.example.com/c, imagePullPolicy: Always, resources: {requests: {cpu: 1m}}}]"),
        },
        Attack {
            wall: "images",
            says: "an image volume",
            attack: pod!("a4", "volumes: [{name: v, image: {reference: evil.example.com/x}}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: "",
        },
        Attack {
            wall: "images",
            says: "docker.io/library/evil",
            attack: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a5, namespace: NS}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: evil}], nodeSelector: {pool: siege}}}}}",
            twin: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a5, namespace: NS}, spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}], nodeSelector: {pool: siege}}}}}",
        },
        Attack {
            wall: "images",
            says: "docker.io/library/evil",
            attack: "{apiVersion: batch/v1, kind: CronJob, metadata: {name: a6, namespace: NS}, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: evil}]}}}}}}",
            twin: "{apiVersion: batch/v1, kind: CronJob, metadata: {name: a6, namespace: NS}, spec: {suspend: true, schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, nodeSelector: {pool: siege}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]}}}}}}",
        },
        Attack {
            wall: "volumes",
            says: "the volume `v` is a `hostPath`",
            attack: pod!("a7", "volumes: [{name: v, hostPath: {path: /etc}}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("a7", "volumes: [{name: v, emptyDir: {}}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
        },
        Attack {
            wall: "volumes",
            says: "the volume `v` is a `nfs`",
            attack: pod!("a8", "volumes: [{name: v, nfs: {server: files.example.com, path: /home/others}}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: "",
        },
        Attack {
            wall: "qos-class",
            says: "make it `BestEffort`",
            attack: pod!("a9", "containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 0}, limits: {}}}]"),
            twin: "",
        },
        Attack {
            wall: "limit-ratio",
            says: "the cpu limit 3 is more than 200 % of its request 1",
            attack: pod!("a10", "containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1}, limits: {cpu: 3}}}]"),
            twin: pod!("a10", "containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1}, limits: {cpu: 2}}}]"),
        },
    ])
    .await;
}

#[tokio::test]
async fn nodes_and_classes() {
    run(&[
        Attack {
            wall: "node-name",
            says: "leave it to the scheduler",
            attack: pod!("b1", "nodeName: somebody-elses, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: "",
        },
        Attack {
            wall: "node-selector",
            says: "set `pool: siege`",
            attack: "{apiVersion: v1, kind: Pod, metadata: {name: b2, namespace: NS}, spec: {nodeSelector: {pool: others}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]}}",
            // It gets the selector.
            twin: "{apiVersion: v1, kind: Pod, metadata: {name: b2, namespace: NS}, spec: {containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]}}",
        },
        Attack {
            wall: "tolerations",
            says: "the taint `dedicated`",
            attack: pod!("b3", "tolerations: [{key: dedicated, operator: Exists}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("b3", "tolerations: [{key: siege/gpu, operator: Exists}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
        },
        Attack {
            wall: "tolerations",
            says: "every taint",
            attack: pod!("b4", "tolerations: [{operator: Exists}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: "",
        },
        Attack {
            wall: "scheduler",
            says: "spec.schedulerName is `mine`",
            attack: pod!("b5", "schedulerName: mine, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("b5", "schedulerName: default-scheduler, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
        },
        Attack {
            wall: "topology-keys",
            says: "`rack`",
            attack: pod!("b6", "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: rack}]}}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("b6", "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: topology.kubernetes.io/zone}]}}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
        },
        Attack {
            wall: "topology-keys",
            says: "`kubernetes.io/hostname`",
            attack: pod!("b7", "topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule, topologyKey: kubernetes.io/hostname}], containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: "",
        },
        Attack {
            wall: "runtime-class",
            says: "the RuntimeClass `siege-bare` is not allowed, use `siege-sandbox`",
            attack: pod!(
                "b9",
                "runtimeClassName: siege-bare, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"
            ),
            twin: pod!(
                "b9",
                "runtimeClassName: siege-sandbox, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"
            ),
        },
        Attack {
            wall: "priority-class",
            says: "the PriorityClass `system-node-critical` is not allowed, use `siege-batch`",
            attack: pod!("b8", "priorityClassName: system-node-critical, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
            twin: pod!("b8", "priorityClassName: siege-batch, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]"),
        },
    ])
    .await;
    let alice = siege().await;
    let pod = documents(&here("{apiVersion: v1, kind: Pod, metadata: {name: b2, namespace: NS}}"));
    let spec = &alice.get(&pod[0]).await.unwrap().data["spec"];
    // What it did not say, the profile says for it.
    assert_eq!(
        (&spec["nodeSelector"]["pool"], &spec["runtimeClassName"]),
        (&json!("siege"), &json!("siege-sandbox"))
    );
    assert_eq!((&spec["priorityClassName"], &spec["priority"]), (&json!("siege-batch"), &json!(7)));
}

#[tokio::test]
async fn a_running_pod_is_closed_as_the_profile_says() {
    let alice = siege().await;
    let yaml =
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: closed, namespace: NS}}, spec: {{{GOOD}}}}}");
    alice.apply_all(&here(&yaml)).await;
    let world = World::shared();
    for (way, command) in [
        ("exec", ["exec", "closed", "--", "ls"]),
        ("attach", ["attach", "closed", "--container", "c"]),
        ("portforward", ["port-forward", "closed", "8080:80", "--address=127.0.0.1"]),
    ] {
        let output = world.kubectl(ALICE, &[&[&format!("--namespace={SIEGE}")[..]], &command[..]].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        // kubectl sees that nothing runs before it asks, for some of them.
        let refused = text.contains(&format!("`{way}` of `closed` is closed"));
        assert!(!output.status.success() && (refused || text.contains("not running")), "{way}: {text}");
    }
    let pods: Api<Pod> = Api::namespaced(world.client(ALICE).await, SIEGE);
    let debug =
        json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "registry.example.com/debug"}]}});
    let patched =
        pods.patch_ephemeral_containers("closed", &PatchParams::default(), &Patch::Strategic(&debug)).await;
    assert!(refusal(patched).message.contains("wall `connect`"));
    let raw = ["get", "--raw", "/api/v1/namespaces/siege-one/pods/closed:80/proxy/"];
    let output = world.kubectl(ALICE, &raw);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("`proxy` of `closed:80` is closed"), "{text}");
}
