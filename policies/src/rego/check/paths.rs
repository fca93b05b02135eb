//! Paths in references: `data.a["b"].c[x]` as the static names before the first dynamic part.

use regorus::Value;
use regorus::unstable::{Expr, Ref, Span};

/// A reference taken apart, without recursion: chains may be as long as the source.
pub(super) struct Chain<'a> {
    /// What the reference starts from.
    pub(super) base: &'a Expr,
    /// The static names after a variable, up to the first dynamic part.
    pub(super) names: Vec<String>,
    /// Whether a dynamic part follows the names.
    pub(super) dynamic: bool,
    /// The expressions in brackets.
    pub(super) indexes: Vec<&'a Expr>,
}

impl<'a> Chain<'a> {
    /// Takes an expression apart; anything but a reference is a chain of its own.
    pub(super) fn of(expression: &'a Expr) -> Self {
        let mut indexes = Vec::new();
        let mut parts: Vec<Option<String>> = Vec::new();
        let mut base = expression;
        loop {
            match base {
                Expr::RefDot { refr, field, .. } => {
                    parts.push(Some(text_of(&field.1).unwrap_or_else(|| field.0.text().to_owned())));
                    base = refr.as_ref();
                }
                Expr::RefBrack { refr, index, .. } => {
                    parts.push(literal(index));
                    indexes.push(index.as_ref());
                    base = refr.as_ref();
                }
                _ => break,
            }
        }
        let mut names = Vec::new();
        let mut dynamic = false;
        for part in parts.into_iter().rev() {
            match part {
                Some(name) => names.push(name),
                None => {
                    dynamic = true;
                    break;
                }
            }
        }
        Self { base, names, dynamic, indexes }
    }

    /// The variable it starts from.
    pub(super) fn variable(&self) -> Option<&'a str> {
        match self.base {
            Expr::Var { span, .. } => Some(span.text()),
            _ => None,
        }
    }

    /// The variable and the static names.
    pub(super) fn path(&self) -> Option<Vec<String>> {
        let mut path = vec![self.variable()?.to_owned()];
        path.extend(self.names.iter().cloned());
        Some(path)
    }
}

fn literal(index: &Ref<Expr>) -> Option<String> {
    match index.as_ref() {
        Expr::String { value, .. } | Expr::RawString { value, .. } => text_of(value),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    }
}

/// A package's path in regorus' notation.
pub(super) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for (index, name) in path.iter().enumerate() {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        match (index, plain) {
            (0, _) => text.push_str(name),
            (_, true) => text.extend([".", name]),
            (_, false) => text.extend(["[\"", name, "\"]"]),
        }
    }
    text
}

/// A path without `data.`, for messages.
pub(super) fn dotted_tail(path: &[String]) -> String {
    path.iter().skip(1).map(String::as_str).collect::<Vec<_>>().join(".")
}

/// Where a span starts.
pub(super) fn place(span: &Span) -> model::Position {
    model::Position { module: span.source.file().clone(), line: span.line, column: span.col }
}
