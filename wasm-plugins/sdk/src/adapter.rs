use std::marker::PhantomData;

use serde_json::Value;

use crate::bindings::{self, Guest};
use crate::{Finding, Mutation, Policy, Request};

/// Stands between the world's functions, which take JSON texts, and a [`Policy`].
pub struct Adapter<P>(PhantomData<P>);

impl<P: Policy + 'static> Guest for Adapter<P> {
    fn validate(request: String, settings: String) -> Result<Vec<bindings::Finding>, String> {
        report_panics();
        let findings = P::validate(&Request::parse(&request)?, &read_settings::<P>(&settings)?)?;
        Ok(findings.into_iter().map(lower).collect())
    }

    fn mutate(request: String, settings: String) -> Result<Option<bindings::Mutation>, String> {
        report_panics();
        let mutation = P::mutate(&Request::parse(&request)?, &read_settings::<P>(&settings)?)?;
        Ok(mutation.map(|mutation| match mutation {
            Mutation::Patch(operations) => bindings::Mutation::Patch(Value::Array(operations).to_string()),
            Mutation::Object(object) => bindings::Mutation::Object(object.to_string()),
        }))
    }

    fn validate_settings(settings: String) -> Result<(), String> {
        report_panics();
        P::validate_settings(&read_settings::<P>(&settings)?)
    }
}

/// A panic is a trap without a word; the host shows what was logged before.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::host::log(crate::host::Level::Error, &panic.to_string())));
}

fn read_settings<P: Policy>(text: &str) -> Result<P::Settings, String> {
    let first = serde_json::from_str(text);
    // An empty object stands for no settings at all, which `()` reads from `null`.
    let settings = if text.trim() == "{}" {
        first.or_else(|error| serde_json::from_str("null").map_err(|_| error))
    } else {
        first
    };
    settings.map_err(|error| format!("the settings cannot be read: {error}"))
}

fn lower(finding: Finding) -> bindings::Finding {
    let details =
        if finding.details.is_empty() { String::new() } else { Value::Object(finding.details).to_string() };
    let Finding { message, code, path, warn_only, .. } = finding;
    bindings::Finding { message, code, path, details, warn_only }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Policy for Echo {
        type Settings = ();

        fn validate(request: &Request, _settings: &()) -> Result<Vec<Finding>, String> {
            Ok(vec![Finding::new(request.name.clone()).code("c").at("p").detail("n", 1)])
        }
    }

    #[test]
    fn requests_and_findings_pass_the_world() {
        let findings = Adapter::<Echo>::validate(r#"{"name":"web","extra":1}"#.into(), "{}".into());
        let finding = findings.unwrap_or_else(|error| panic!("{error}")).remove(0);
        assert_eq!((finding.message.as_str(), finding.details.as_str()), ("web", r#"{"n":1}"#));
        assert!(Adapter::<Echo>::validate("3".into(), "{}".into()).is_err());
        assert!(Adapter::<Echo>::validate("{}".into(), r#"{"a":1}"#.into()).is_err());
        assert!(matches!(Adapter::<Echo>::mutate("{}".into(), "{}".into()), Ok(None)));
    }
}
