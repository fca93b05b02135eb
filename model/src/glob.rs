use wildmatch::WildMatch;

/// A list of patterns with `*` for any text and `?` for one character; an empty list matches nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Globs(Vec<WildMatch>);

impl Eq for Globs {}

impl Globs {
    /// These patterns.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(patterns.into_iter().map(|pattern| WildMatch::new(pattern.as_ref())).collect())
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them matches the whole text. Takes time in the length of text and patterns.
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// The patterns as they were written, with commas between them.
    pub fn shown(&self) -> String {
        let patterns: Vec<String> = self.0.iter().map(|pattern| format!("`{pattern}`")).collect();
        patterns.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pattern_is_enough_and_it_is_about_the_whole_text() {
        let globs = Globs::new(["team-*", "lab?"]);
        let matching = ["team-", "team-a/b", "lab1", "lab", "my-team-a", ""].map(|text| globs.matches(text));
        assert_eq!(matching, [true, true, true, false, false, false]);
        assert!(!Globs::default().matches(""));
        assert_eq!(globs.shown(), "`team-*`, `lab?`");
    }
}
