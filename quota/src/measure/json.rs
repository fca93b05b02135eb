//! Reading objects: only the fields that count, and exactly where a field is wrong.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::error::Category;

use super::MeasureError;
use super::number;

/// Reads an object. What is wrong is looked for a second time with the path kept, which costs too much to do
/// for objects that are right.
pub(super) fn read<'a, T: Deserialize<'a>>(object: &'a [u8]) -> Result<T, MeasureError> {
    serde_json::from_slice(object).map_err(|error| {
        if error.classify() != Category::Data {
            return MeasureError::Json(error.to_string());
        }
        let mut json = serde_json::Deserializer::from_slice(object);
        match serde_path_to_error::deserialize::<_, T>(&mut json) {
            Err(error) => {
                MeasureError::Field { path: error.path().to_string(), reason: error.inner().to_string() }
            }
            Ok(_) => MeasureError::Json(error.to_string()),
        }
    })
}

/// A field whose `null` is the same as none, as the API server has it.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Text, borrowed from the JSON where it has no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// A quantity in billionths: text or a number, and `null` is nothing of it. Never negative.
pub(super) struct Quantity(pub(super) i128);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                number::read(text).map(Quantity).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number::whole(number)))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&format!("{number:e}"))
            }

            fn visit_unit<E: Error>(self) -> Result<Quantity, E> {
                Ok(Quantity(0))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Quantities by name, such as the requests of a container. Lists are short: a search through is quickest.
#[derive(Debug, Clone, Default)]
pub(super) struct List<'a>(Vec<(Text<'a>, i128)>);

impl List<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i128)> {
        self.0.iter().map(|(name, amount)| (&**name, *amount))
    }

    pub(super) fn get(&self, name: &str) -> Option<i128> {
        self.iter().find_map(|(other, amount)| (other == name).then_some(amount))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("quantities by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list: Vec<(Text<'de>, i128)> = Vec::new();
                while let Some((name, Quantity(amount))) = map.next_entry::<Text<'de>, Quantity>()? {
                    list.push((name, amount));
                }
                // Of a name that comes twice, the last counts, as with any JSON object. The order is of no
                // importance. Sorting keeps an object of a hundred thousand names from costing its square.
                list.reverse();
                list.sort_by(|(one, _), (other, _)| one.cmp(other));
                list.dedup_by(|(one, _), (other, _)| **one == **other);
                Ok(List(list))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample<'a> {
        #[serde(borrow, default, deserialize_with = "or_default")]
        requests: List<'a>,
    }

    #[test]
    fn quantities_are_text_or_numbers_and_the_last_of_a_name_counts() {
        let json = br#"{"requests": {"b": 2, "a": "1m", "c": null, "d": 0.5, "b": "3"}}"#;
        let sample: Sample<'_> = read(json).unwrap();
        let all: Vec<_> = sample.requests.iter().collect();
        assert_eq!(all, [("a", 1_000_000), ("b", 3_000_000_000), ("c", 0), ("d", 500_000_000)]);
        assert_eq!(sample.requests.get("d"), Some(500_000_000));
        assert!(read::<Sample<'_>>(br#"{"requests": null}"#).unwrap().requests.iter().next().is_none());
    }

    #[test]
    fn an_error_says_where_it_is() {
        for (json, said) in [
            (r#"{"requests": {"cpu": "much"}}"#, "`requests.cpu`: `much` is no quantity"),
            (r#"{"requests": {"cpu": -1}}"#, "`requests.cpu`: `-1` is negative"),
            (r#"{"requests": {"cpu": []}}"#, "`requests.cpu`: invalid type: sequence, expected a quantity"),
            (r#"{"requests": 1}"#, "`requests`: invalid type: integer `1`, expected quantities by name"),
            ("{\"requests\": ", "the object is not JSON: EOF while parsing"),
        ] {
            let error = read::<Sample<'_>>(json.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
