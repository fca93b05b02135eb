//! What is refused in the text itself, before a parser sees it.

use model::{LoadFault, Position, RegoModule};

use super::invalid;
use crate::Limits;

/// The deepest nesting of brackets, braces and parentheses.
const MAX_BRACKETS: usize = 48;
/// The parser reads a literal once to see whether it is a comprehension, and then again: each level of
/// literals within literals doubles its work. So much work is accepted, in characters read, beside
/// [`WORK_PER_CHARACTER`]; it takes less than a second.
const MAX_WORK: u64 = 1 << 20;
/// What a text of ordinary nesting costs.
const WORK_PER_CHARACTER: u64 = 8;
/// Words after which a `[` begins a literal, and not an index.
const KEYWORDS: &[&str] = &["as", "contains", "default", "else", "every", "if", "in", "not", "some", "with"];
/// The longest numeral, in characters; regorus reads longer ones exactly, in quadratic time.
const MAX_NUMERAL: usize = 64;
/// The greatest exponent of a numeral; regorus writes `1e999999999` out in full.
const MAX_EXPONENT: u32 = 308;
/// The longest line, in bytes: the parser's own bound, found here with a better message.
const MAX_LINE: usize = 1024;

/// Checks the length, nesting and numerals of all modules.
pub(super) fn check(modules: &[RegoModule], limits: &Limits) -> Result<(), LoadFault> {
    let total: usize = modules.iter().map(|module| module.text.len()).fold(0, usize::saturating_add);
    if total > limits.source_bytes {
        let text = format!("the modules have {total} bytes, at most {} are accepted", limits.source_bytes);
        let module = modules.first().map_or_else(String::new, |module| module.name.clone());
        return Err(invalid(&Position { module, line: 1, column: 1 }, text));
    }
    modules.iter().try_for_each(|module| Scanner::new(module).run())
}

struct Scanner<'a> {
    module: &'a RegoModule,
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    previous: char,
    line: u32,
    column: u32,
    /// The open brackets, and which of them begin a literal.
    open: Vec<bool>,
    /// The name or keyword that was read last, if nothing came after it.
    word: String,
    work: u64,
    max_work: u64,
}

impl<'a> Scanner<'a> {
    fn new(module: &'a RegoModule) -> Self {
        let rest = module.text.chars().peekable();
        let length = u64::try_from(module.text.len()).unwrap_or(u64::MAX);
        let max_work = MAX_WORK.saturating_add(length.saturating_mul(WORK_PER_CHARACTER));
        let (open, word) = (Vec::new(), String::new());
        Self { module, rest, previous: '\n', line: 1, column: 0, open, word, work: 0, max_work }
    }

    fn run(mut self) -> Result<(), LoadFault> {
        while let Some(character) = self.next()? {
            match character {
                '#' => self.skip_until('\n')?,
                '`' => self.skip_until('`')?,
                '"' => self.skip_string()?,
                '[' | '{' | '(' => self.open(character)?,
                ']' | '}' | ')' => _ = self.open.pop(),
                '0'..='9' if !is_word(self.previous) => {
                    self.numeral(character)?;
                    continue;
                }
                _ => {}
            }
            self.follow(character);
        }
        Ok(())
    }

    /// Notes what stands before the next character.
    fn follow(&mut self, character: char) {
        if !is_word(character) {
            self.word.clear();
        } else if self.word.len() < MAX_NUMERAL {
            self.word.push(character);
        }
        self.previous = character;
    }

    fn next(&mut self) -> Result<Option<char>, LoadFault> {
        let Some(character) = self.rest.next() else { return Ok(None) };
        let literals = self.open.iter().filter(|literal| **literal).count();
        self.work = self
            .work
            .saturating_add(1_u64.checked_shl(u32::try_from(literals).unwrap_or(63)).unwrap_or(u64::MAX));
        if self.work > self.max_work {
            return Err(self.fault(
                "arrays, sets and objects nest so deeply that reading them takes too long".to_owned(),
            ));
        }
        if character == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 0;
        } else {
            self.column = self.column.saturating_add(1);
            if usize::try_from(self.column).is_ok_and(|column| column > MAX_LINE) {
                return Err(self.fault(format!("the line is longer than {MAX_LINE} characters")));
            }
        }
        Ok(Some(character))
    }

    fn skip_until(&mut self, end: char) -> Result<(), LoadFault> {
        while let Some(character) = self.next()? {
            if character == end {
                break;
            }
        }
        Ok(())
    }

    fn skip_string(&mut self) -> Result<(), LoadFault> {
        while let Some(character) = self.next()? {
            match character {
                '"' | '\n' => break,
                '\\' => {
                    self.next()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, bracket: char) -> Result<(), LoadFault> {
        let index = bracket == '['
            && match self.previous {
                ']' | ')' | '}' | '"' | '`' => true,
                previous => is_word(previous) && !KEYWORDS.contains(&self.word.as_str()),
            };
        self.open.push(bracket != '(' && !index);
        if self.open.len() > MAX_BRACKETS {
            return Err(self.fault(format!("brackets nest deeper than {MAX_BRACKETS} levels")));
        }
        Ok(())
    }

    fn numeral(&mut self, first: char) -> Result<(), LoadFault> {
        let mut text = String::from(first);
        while let Some(&next) = self.rest.peek() {
            let sign = matches!(next, '+' | '-') && text.ends_with(['e', 'E']);
            if !(sign || is_word(next) || next == '.') {
                break;
            }
            self.next()?;
            text.push(next);
        }
        self.follow('0');
        if numeral_is_huge(&text) {
            let shown: String = text.chars().take(20).collect();
            let text = format!(
                "the number `{shown}` is too long: at most {MAX_NUMERAL} characters and an exponent of {MAX_EXPONENT}"
            );
            return Err(self.fault(text));
        }
        Ok(())
    }

    fn fault(&self, text: String) -> LoadFault {
        let place =
            Position { module: self.module.name.clone(), line: self.line, column: self.column.max(1) };
        invalid(&place, text)
    }
}

/// Whether a numeral is longer or greater than regorus reads in short time.
pub(in crate::rego) fn numeral_is_huge(text: &str) -> bool {
    let exponent = text.split_once(['e', 'E']).map_or("0", |(_, exponent)| exponent);
    let digits: String = exponent.chars().filter(char::is_ascii_digit).collect();
    text.len() > MAX_NUMERAL || digits.parse::<u32>().map_or(!digits.is_empty(), |value| value > MAX_EXPONENT)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
