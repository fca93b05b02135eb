//! One result in the form that was asked for.

use std::io::Write;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use crate::output::one_line;

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Form {
    /// For people
    #[default]
    Table,
    /// One JSON value
    Json,
    /// The same as YAML
    Yaml,
    /// Names alone, one a line
    Name,
}

/// A result: a value, and how people and scripts see it.
pub(crate) struct Written<'a, T> {
    /// What JSON and YAML have.
    pub(crate) value: &'a T,
    /// What people see.
    pub(crate) text: String,
    /// The names that are left of it.
    pub(crate) names: Vec<String>,
}

impl<T: Serialize> Written<'_, T> {
    /// Writes it in a form.
    pub(crate) fn write(self, form: Form, out: &mut impl Write) -> anyhow::Result<()> {
        match form {
            Form::Table => out.write_all(self.text.as_bytes())?,
            Form::Json => writeln!(out, "{}", serde_json::to_string_pretty(self.value)?)?,
            Form::Yaml => out.write_all(yaml(self.value)?.as_bytes())?,
            Form::Name => self.names.iter().try_for_each(|name| writeln!(out, "{}", one_line(name)))?,
        }
        out.flush()?;
        Ok(())
    }
}

/// A value as YAML that ends with a line.
pub(crate) fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    // Not every reader of base64 takes it folded over lines.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(value, options)
        .context("the result cannot be written as YAML")?;
    Ok(format!("{}\n", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(form: Form) -> String {
        let value = json!({"name": "a\u{1b}[2J", "data": "x".repeat(200)});
        let mut out = Vec::new();
        let names = vec!["tenant/a".to_owned(), "evil\u{1b}[2J".to_owned()];
        Written { value: &value, text: "TABLE\n".to_owned(), names }.write(form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_form_is_its_own() {
        assert_eq!(written(Form::Table), "TABLE\n");
        assert_eq!(written(Form::Name), "tenant/a\nevil\\u{1b}[2J\n");
        let json: Value = serde_json::from_str(&written(Form::Json)).unwrap();
        let yaml = written(Form::Yaml);
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);
        // Nothing that was written by others steers a terminal.
        assert!(!yaml.contains('\u{1b}'), "{yaml}");
        // A long value stays on its line.
        assert_eq!(yaml.lines().count(), 2, "{yaml}");
    }
}
