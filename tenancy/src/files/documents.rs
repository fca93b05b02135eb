//! One YAML file as its documents, each read by itself: a broken one does not hide the others.

use model::Position;
use serde_json::Value;

/// One document of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    /// Its first line in the file, counted from 1.
    pub(super) line: u32,
    /// Its value, or where and why it is not YAML.
    pub(super) value: Result<Value, (Position, String)>,
}

/// Reads all documents that are not empty; `file` is the name that positions show.
pub(super) fn documents(file: &str, text: &str) -> Vec<Document> {
    split(text).into_iter().filter_map(|(line, text)| document(file, line, text)).collect()
}

/// Splits at document markers. A line that starts with `---` and then ends or has a blank is always one,
/// as YAML forbids it in a scalar.
fn split(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut first, mut offset, mut number) = (0, 1, 0_usize, 0_u32);
    for line in text.split_inclusive('\n') {
        number = number.saturating_add(1);
        let begin = offset;
        offset = offset.saturating_add(line.len());
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker {
            parts.extend(text.get(start..begin).map(|part| (first, part)));
            (start, first) = (begin, number);
        }
    }
    parts.extend(text.get(start..).map(|part| (first, part)));
    parts
}

fn document(file: &str, line: u32, text: &str) -> Option<Document> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 64, max_nodes: 250_000, max_aliases: 1_000, max_anchors: 1_000 },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Value>(text, options) {
        Ok(Value::Null) => None,
        Ok(value) => Some(Document { line: line_of_content(line, text), value: Ok(value) }),
        Err(error) => {
            let (row, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            let row = u32::try_from(row).unwrap_or(u32::MAX).max(1).saturating_sub(1);
            let position = Position {
                module: file.to_owned(),
                line: line.saturating_add(row),
                column: u32::try_from(column).unwrap_or(u32::MAX),
            };
            let text = error.without_snippet().to_string().replace('\n', " ");
            // The place it tells is one in the document, not in the file.
            let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
            Some(Document { line, value: Err((position, format!("the document is not YAML: {why}"))) })
        }
    }
}

/// The first line that is neither blank, a comment nor a bare marker.
fn line_of_content(first: u32, text: &str) -> u32 {
    let idle = |line: &&str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    let skipped = text.lines().take_while(idle).count();
    first.saturating_add(u32::try_from(skipped).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_one_by_one_with_their_lines() {
        let text = "# comment\n---\na: 1\n---\n\n# only a comment\n--- # here\nb: |\n  --- not a marker\n---\nc: [\n---\n- 2\n";
        let documents = documents("f.yaml", text);
        let lines: Vec<_> = documents.iter().map(|document| document.line).collect();
        assert_eq!(lines, [3, 7, 10, 13]);
        assert_eq!(documents[0].value, Ok(json!({"a": 1})));
        assert_eq!(documents[1].value, Ok(json!({"b": "--- not a marker\n"})));
        let (position, message) = documents[2].value.as_ref().unwrap_err();
        assert_eq!((position.module.as_str(), position.line), ("f.yaml", 11), "{message}");
        assert_eq!(documents[3].value, Ok(json!([2])));
    }

    #[test]
    fn bombs_are_refused() {
        let aliases = "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                       d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n\
                       f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
        let deep = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
        let twice = "a: 1\na: 2\n";
        for bad in [aliases, &deep, twice, "a: \u{0}", "*unknown"] {
            let documents = documents("f", bad);
            assert!(documents[0].value.is_err(), "{bad:.40}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-a: \\[\\]{}&*|>#\n\"'!%,x]{0,120}") {
            documents("f", &text);
        }
    }
}
