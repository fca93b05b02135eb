//! Admits images only from registries that the binding names.

use std::collections::BTreeMap;

use bailey_plugin_sdk::{Finding, Policy, Request, export_policy};
use serde::Deserialize;

/// The policy.
pub struct AllowedRegistries;

/// The binding's parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Registries, with or without a path, such as `registry.example.com/team`.
    registries: Vec<String>,
}

/// Where a pod's containers are in the object: a Pod has them in `spec`, a workload in its template, a
/// CronJob in its job's template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
    template: Option<Box<Object>>,
    job_template: Option<Box<Object>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

impl Policy for AllowedRegistries {
    type Settings = Settings;

    fn validate(request: &Request, settings: &Settings) -> Result<Vec<Finding>, String> {
        let object: Object = request.object()?;
        let mut findings = Vec::new();
        check(&object.spec, "spec", settings, &mut findings);
        Ok(findings)
    }

    fn validate_settings(settings: &Settings) -> Result<(), String> {
        match settings
            .registries
            .iter()
            .find(|registry| registry.is_empty() || registry.contains(char::is_whitespace))
        {
            Some(registry) => Err(format!("`registries` has `{registry}`, which is no registry")),
            None if settings.registries.is_empty() => {
                Err("`registries` is empty, name at least one".to_owned())
            }
            None => Ok(()),
        }
    }
}

fn check(spec: &Spec, path: &str, settings: &Settings, findings: &mut Vec<Finding>) {
    let lists = BTreeMap::from([
        ("containers", &spec.containers),
        ("ephemeralContainers", &spec.ephemeral_containers),
        ("initContainers", &spec.init_containers),
    ]);
    for (list, containers) in lists {
        for (at, container) in containers.iter().enumerate() {
            if !settings.registries.iter().any(|registry| is_from(&container.image, registry)) {
                findings.push(refuse(container, format!("{path}.{list}[{at}].image"), settings));
            }
        }
    }
    if let Some(template) = &spec.template {
        check(&template.spec, &format!("{path}.template.spec"), settings, findings);
    }
    if let Some(template) = &spec.job_template {
        check(&template.spec, &format!("{path}.jobTemplate.spec"), settings, findings);
    }
}

fn refuse(container: &Container, path: String, settings: &Settings) -> Finding {
    let allowed = settings.registries.join("`, `");
    let Container { name, image } = container;
    Finding::new(format!("container `{name}` has image `{image}`, images may come from `{allowed}`"))
        .code("registry")
        .at(path)
        .detail("container", name.as_str())
        .detail("image", image.as_str())
        .detail("allowed", settings.registries.clone())
}

/// Whether an image is below a registry, whose name must end at a `/`: `registry.example.com.evil` is
/// another one.
fn is_from(image: &str, registry: &str) -> bool {
    let registry = registry.trim_end_matches('/');
    full_name(image).strip_prefix(registry).is_some_and(|rest| rest.starts_with('/'))
}

/// An image's name with its registry, as container runtimes fill it in: a first part without dot, colon
/// or `localhost` is no registry.
fn full_name(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

export_policy!(AllowedRegistries);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_ends_at_a_slash_and_short_names_are_filled_in() {
        let cases = [
            ("registry.example.com/a:1", "registry.example.com", true),
            ("registry.example.com/a:1", "registry.example.com/", true),
            ("registry.example.com/team/a", "registry.example.com/team", true),
            ("registry.example.com/teams/a", "registry.example.com/team", false),
            ("registry.example.com.evil.io/a", "registry.example.com", false),
            ("localhost/a", "localhost", true),
            ("host:5000/a", "host:5000", true),
            ("nginx", "docker.io", true),
            ("nginx", "docker.io/library", true),
            ("team/nginx", "docker.io/library", false),
            ("nginx", "nginx", false),
        ];
        for (image, registry, expected) in cases {
            assert_eq!(is_from(image, registry), expected, "{image} from {registry}");
        }
    }

    #[test]
    fn every_kind_of_container_is_looked_at_wherever_it_is() {
        let request = r#"{"object":{"spec":{"jobTemplate":{"spec":{"template":{"spec":{
            "initContainers":[{"name":"i","image":"bad.io/a"}],"containers":[{"name":"c","image":"good.io/a"}],
            "ephemeralContainers":[{"name":"e","image":"busybox"}]}}}}}}}"#;
        let request = Request::parse(request).unwrap_or_else(|error| panic!("{error}"));
        let settings = Settings { registries: vec!["good.io".to_owned()] };
        let findings =
            AllowedRegistries::validate(&request, &settings).unwrap_or_else(|error| panic!("{error}"));
        let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        let spec = "spec.jobTemplate.spec.template.spec";
        assert_eq!(
            paths,
            [format!("{spec}.ephemeralContainers[0].image"), format!("{spec}.initContainers[0].image")]
        );
    }
}
