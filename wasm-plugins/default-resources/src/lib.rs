//! Gives containers the resource requests they lack.

use std::collections::BTreeMap;

use bailey_plugin_sdk::{Finding, Mutation, Policy, Request, export_policy};
use serde::Deserialize;
use serde_json::{Value, json};

/// The policy.
pub struct DefaultResources;

/// The binding's parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Requests by resource, such as `cpu: 100m`.
    requests: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Pod {
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    init_containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    resources: Option<Resources>,
}

#[derive(Debug, Default, Deserialize)]
struct Resources {
    requests: Option<BTreeMap<String, Value>>,
    limits: Option<BTreeMap<String, Value>>,
}

impl Policy for DefaultResources {
    type Settings = Settings;

    fn validate(_request: &Request, _settings: &Settings) -> Result<Vec<Finding>, String> {
        Ok(Vec::new())
    }

    fn mutate(request: &Request, settings: &Settings) -> Result<Option<Mutation>, String> {
        let pod: Pod = request.object()?;
        let lists = [("containers", &pod.spec.containers), ("initContainers", &pod.spec.init_containers)];
        let operations: Vec<Value> = lists
            .iter()
            .flat_map(|(list, containers)| {
                containers.iter().enumerate().map(move |(at, container)| (list, at, container))
            })
            .flat_map(|(list, at, container)| {
                fill(&format!("/spec/{list}/{at}/resources"), container, settings)
            })
            .collect();
        Ok((!operations.is_empty()).then_some(Mutation::Patch(operations)))
    }

    fn validate_settings(settings: &Settings) -> Result<(), String> {
        let is_quantity = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        match settings.requests.iter().find(|(_, amount)| !is_quantity(amount)) {
            Some((name, amount)) => {
                Err(format!("`requests.{name}` is `{amount}`, an amount such as `100m` would pass"))
            }
            None if settings.requests.is_empty() => {
                Err("`requests` is empty, name at least one resource".to_owned())
            }
            None => Ok(()),
        }
    }
}

/// What has to be added to one container. A resource with a limit is left alone: the API server takes the
/// request from it.
fn fill(path: &str, container: &Container, settings: &Settings) -> Vec<Value> {
    let none = Resources::default();
    let resources = container.resources.as_ref().unwrap_or(&none);
    let has = |set: &Option<BTreeMap<String, Value>>, name: &str| {
        set.as_ref().is_some_and(|set| set.contains_key(name))
    };
    let missing: BTreeMap<&String, &String> = settings
        .requests
        .iter()
        .filter(|(name, _)| !has(&resources.requests, name) && !has(&resources.limits, name))
        .collect();
    let add = |path: String, value: Value| json!({"op": "add", "path": path, "value": value});
    match (&container.resources, &resources.requests) {
        _ if missing.is_empty() => Vec::new(),
        (None, _) => vec![add(path.to_owned(), json!({"requests": missing}))],
        (Some(_), None) => vec![add(format!("{path}/requests"), json!(missing))],
        (Some(_), Some(_)) => missing
            .into_iter()
            .map(|(name, amount)| add(format!("{path}/requests/{}", escape(name)), json!(amount)))
            .collect(),
    }
}

/// A part of a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

export_policy!(DefaultResources);

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(containers: Value) -> Option<Mutation> {
        let request = json!({"object": {"spec": {"containers": containers}}}).to_string();
        let request = Request::parse(&request).unwrap_or_else(|error| panic!("{error}"));
        let requests = [("cpu", "100m"), ("example.com/gpu", "1")];
        let requests = requests.map(|(name, amount)| (name.to_owned(), amount.to_owned()));
        DefaultResources::mutate(&request, &Settings { requests: BTreeMap::from(requests) })
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let resources = "/spec/containers/0/resources";
        let all = json!({"cpu": "100m", "example.com/gpu": "1"});
        let cases = [
            (json!([{"name": "a"}]), json!([{"op": "add", "path": resources, "value": {"requests": all}}])),
            (
                json!([{"resources": {"limits": {"example.com/gpu": "2"}}}]),
                json!([{"op": "add", "path": format!("{resources}/requests"), "value": {"cpu": "100m"}}]),
            ),
            (
                json!([{"resources": {"requests": {"cpu": 1}}}]),
                json!([{"op": "add", "path": format!("{resources}/requests/example.com~1gpu"), "value": "1"}]),
            ),
        ];
        for (containers, expected) in cases {
            let Value::Array(expected) = expected else { unreachable!() };
            assert_eq!(patch(containers), Some(Mutation::Patch(expected)));
        }
    }

    #[test]
    fn what_is_complete_is_left_alone() {
        assert_eq!(patch(json!([{"resources": {"requests": {"cpu": 1, "example.com/gpu": 1}}}])), None);
        assert_eq!(patch(json!([])), None);
    }
}
