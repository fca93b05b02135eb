use std::collections::BTreeSet;

use model::{LabelSelector, Requirement, SelectorOperator};

/// Reads a label selector as `kubectl get -l` has it: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`,
/// `a notin (b,c)`, joined by commas; an empty text selects all.
pub(super) fn parse(text: &str) -> Result<LabelSelector, String> {
    let mut selector = LabelSelector::default();
    for part in split(text)? {
        selector.match_expressions.push(requirement(part)?);
    }
    selector.validate().map_err(|error| format!("is not valid: {error}"))?;
    Ok(selector)
}

/// The parts between commas outside parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let mut inside = false;
    let parts = text.split(|letter: char| {
        match letter {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        letter == ',' && !inside
    });
    let parts: Vec<&str> = parts.map(str::trim).collect();
    match parts.as_slice() {
        [""] => Ok(Vec::new()),
        parts if parts.contains(&"") => Err("has an empty requirement".to_owned()),
        _ => Ok(parts),
    }
}

fn requirement(part: &str) -> Result<Requirement, String> {
    use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
    if let Some((left, values)) = part.split_once('(') {
        let values = values.strip_suffix(')').ok_or("has no closing parenthesis")?;
        let (key, operator) = left.trim().rsplit_once(char::is_whitespace).ok_or("lacks `in` or `notin`")?;
        let operator = match operator {
            "in" => In,
            "notin" => NotIn,
            other => return Err(format!("has `{other}` where `in` or `notin` would pass")),
        };
        return build(key, operator, values.split(','));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return build(key, NotIn, [value]);
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return build(key, In, [value]);
    }
    match part.strip_prefix('!') {
        Some(key) => build(key, DoesNotExist, []),
        None => build(part, Exists, []),
    }
}

fn build<'a>(
    key: &str,
    operator: SelectorOperator,
    values: impl IntoIterator<Item = &'a str>,
) -> Result<Requirement, String> {
    let key = key.trim();
    let values: BTreeSet<String> = values.into_iter().map(|value| value.trim().to_owned()).collect();
    let bad = |text: &str| text.contains(|letter: char| letter.is_whitespace() || "=!()<>".contains(letter));
    match std::iter::once(key).chain(values.iter().map(String::as_str)).find(|text| bad(text)) {
        Some(text) => Err(format!("has `{text}`, which is no label key or value")),
        None => Ok(Requirement { key: key.to_owned(), operator, values }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn selectors_read_as_kubectl_does() {
        let labels =
            BTreeMap::from([("app".to_owned(), "web".to_owned()), ("x/tier".to_owned(), "a".to_owned())]);
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web,x/tier", true),
            ("app != web", false),
            ("none!=web", true),
            ("x/tier in (a, b),!gone", true),
            ("x/tier notin (a)", false),
            ("app in (db)", false),
        ];
        for (text, expected) in cases {
            let selector = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a,", ",", "=b", "a in (b", "a of (b)", "(b)", "a b", "a>1", "!", "a=b=c"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
