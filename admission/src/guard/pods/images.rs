use std::borrow::Cow;

use model::ImageRules;

use super::PodSpec;
use crate::guard::Question;

/// Images are from where the profile says, by digest where it says so, and pulled as it says.
pub(in crate::guard) fn are_not_allowed(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let wrong = wrong_image(pod, &rules.images)?;
        Some(format!("{wrong} ({})", rules.source))
    })
}

fn wrong_image(pod: &PodSpec, rules: &ImageRules) -> Option<String> {
    let of_containers = pod.all_containers().filter_map(|container| {
        let image = container.image.as_deref()?;
        let place = format!("container `{}`", container.name);
        Some((place, image, container.image_pull_policy.as_deref()))
    });
    let of_volumes = pod.volumes.iter().filter_map(|volume| {
        let image = volume.get("image")?;
        let text = |name: &str| image.get(name).and_then(serde_json::Value::as_str);
        Some(("an image volume".to_owned(), text("reference")?, text("pullPolicy")))
    });
    of_containers.chain(of_volumes).find_map(|(place, image, policy)| {
        reference(image, rules).or_else(|| pulled(policy, rules)).map(|wrong| format!("{place}: {wrong}"))
    })
}

fn reference(image: &str, rules: &ImageRules) -> Option<String> {
    if let Some(allowed) = &rules.allowed
        && !allowed.matches(&whole(image))
    {
        return Some(format!("the image `{}` is not allowed, use {}", whole(image), allowed.shown()));
    }
    (rules.digests && !image.contains("@sha256:"))
        .then(|| format!("the image `{image}` has no digest, name it as `{image}@sha256:…`"))
}

fn pulled(policy: Option<&str>, rules: &ImageRules) -> Option<String> {
    let allowed = rules.pull_policies.as_ref()?;
    let policy = policy.unwrap_or("IfNotPresent");
    let shown = || allowed.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ");
    (!allowed.contains(policy))
        .then(|| format!("the imagePullPolicy `{policy}` is not allowed, use {}", shown()))
}

/// A reference with the parts that may be left out: `nginx` is `docker.io/library/nginx`.
fn whole(image: &str) -> Cow<'_, str> {
    match image.split_once('/') {
        Some((first, _)) if names_a_registry(first) => Cow::Borrowed(image),
        Some(_) => Cow::Owned(format!("docker.io/{image}")),
        None => Cow::Owned(format!("docker.io/library/{image}")),
    }
}

/// Whether the first part of a reference is a host: also one in capitals, which no name of an image may have.
fn names_a_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.contains(|c: char| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_container_runtimes_do() {
        let rows = [
            ("nginx", "docker.io/library/nginx"),
            ("me/nginx:1", "docker.io/me/nginx:1"),
            ("localhost/a", "localhost/a"),
            ("registry.example.com/a", "registry.example.com/a"),
            ("host:5000/a", "host:5000/a"),
            ("EVIL/a", "EVIL/a"),
            ("evil/a", "docker.io/evil/a"),
            ("registry.example.com", "docker.io/library/registry.example.com"),
        ];
        for (image, expected) in rows {
            assert_eq!(whole(image), expected);
        }
    }
}
