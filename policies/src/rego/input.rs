//! JSON to regorus values: the costliest step of a request, so done once and straight from the text.
//!
//! Compared with `Value::from_json_str` the names of fields come from a small table per thread (the same few
//! hundred names occur in every object), objects are built sorted in one step, and nothing is checked per
//! element. Numbers keep all 64 bits of an integer; what has a fraction, an exponent or more bits is an `f64`,
//! as in the API server.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::{Code, MAX_DEPTH};
use regorus::Value;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::builtins::forget;
use crate::EvaluationError;

/// The field that [`decode_request`] leaves out.
pub(crate) const MANAGED_FIELDS: &str = "managedFields";
/// How many field names a thread keeps.
const NAMES: usize = 2_048;
/// The longest field name that is kept, in bytes.
const LONGEST_NAME: usize = 64;

/// Decodes JSON text.
///
/// # Errors
/// [`Code::ReviewMalformed`] when the text is not one JSON value, [`Code::ReviewTooDeep`] when it nests deeper
/// than [`MAX_DEPTH`].
pub fn decode(text: &[u8]) -> Result<Value, EvaluationError> {
    decode_from(Place::Inside, text)
}

/// Decodes an admission request. Of its object and old object `metadata.managedFields` is left out: it is
/// often half of an object, and only the API server's bookkeeping.
///
/// # Errors
/// As [`decode`].
pub fn decode_request(text: &[u8]) -> Result<Value, EvaluationError> {
    decode_from(Place::Request, text)
}

fn decode_from(place: Place, text: &[u8]) -> Result<Value, EvaluationError> {
    // What was weighed of the request before is not needed any more.
    forget();
    let too_deep = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let decoded = SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            // An error leaves what it had read.
            scratch.fields.clear();
            scratch.items.clear();
            Seed { place, depth: 0, too_deep: &too_deep, scratch: &mut scratch }
                .deserialize(&mut deserializer)
        }
        Err(error) => Err(serde_json::Error::custom(error)),
    });
    decoded.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        if too_deep.get() {
            let message = format!("the JSON nests deeper than {MAX_DEPTH} levels");
            return EvaluationError::new(Code::ReviewTooDeep, message);
        }
        EvaluationError::new(Code::ReviewMalformed, format!("the JSON cannot be read: {error}"))
    })
}

/// A JSON value as a regorus value.
pub fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Value::from(value),
            (None, Some(value)) => Value::from(value),
            (None, None) => number.as_f64().map_or(Value::Null, Value::from),
        },
        serde_json::Value::String(text) => Value::String(text.as_str().into()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(fields) => Value::from(
            fields
                .iter()
                .map(|(name, value)| (Value::String(name.as_str().into()), from_json(value)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// What a policy sees as `input`: the admission request as `review` and as `request`, and the binding's parameters.
///
/// The request is shared, not copied.
pub fn envelope(review: &Value, parameters: &Value) -> Value {
    ENVELOPE.with(|[parameter_name, request_name, review_name]| {
        Value::from(BTreeMap::from([
            (parameter_name.clone(), parameters.clone()),
            (request_name.clone(), review.clone()),
            (review_name.clone(), review.clone()),
        ]))
    })
}

// Names of fields ---------------------------------------------------------------------------------------

thread_local! {
    static ENVELOPE: [Value; 3] = ["parameters", "request", "review"].map(Value::from);
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        names: Names { slots: vec![None; NAMES] },
        fields: Vec::new(),
        items: Vec::new(),
    });
}

/// What a thread keeps for decoding, so that a collection is allocated once, when its size is known.
struct Scratch {
    names: Names,
    /// The fields of the objects that are being read, the innermost last.
    fields: Vec<(Value, Value)>,
    /// The elements of the arrays that are being read, the innermost last.
    items: Vec<Value>,
}

/// Field names that were seen, each in the one slot that its hash gives: a lookup has a fixed cost, and
/// whoever sends colliding names only loses the saving.
struct Names {
    slots: Vec<Option<Arc<str>>>,
}

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if name.len() > LONGEST_NAME {
            return name.into();
        }
        let index = usize::try_from(hash(name.as_bytes()) % 2_048).unwrap_or_default();
        let Some(slot) = self.slots.get_mut(index) else { return name.into() };
        match slot {
            Some(known) if known.as_ref() == name => known.clone(),
            _ => slot.insert(name.into()).clone(),
        }
    }
}

/// The first and last eight bytes and the length, mixed.
fn hash(name: &[u8]) -> u64 {
    let word = |bytes: Option<&[u8]>| {
        let mut word = [0_u8; 8];
        for (to, from) in word.iter_mut().zip(bytes.unwrap_or(name)) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    };
    let first = word(name.first_chunk::<8>().map(|chunk| chunk.as_slice()));
    let last = word(name.last_chunk::<8>().map(|chunk| chunk.as_slice()));
    let length = u64::try_from(name.len()).unwrap_or_default();
    let mixed = (first ^ last.rotate_left(23) ^ length).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed >> 40
}

// Decoding ----------------------------------------------------------------------------------------------

/// Where a value stands, as far as it decides what is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The request.
    Request,
    /// Its object or old object.
    Object,
    /// The metadata of that.
    Metadata,
    /// Anywhere else.
    Inside,
}

impl Place {
    /// The place of a field's value; `None` where it is left out.
    fn of(self, field: &str) -> Option<Self> {
        match (self, field) {
            (Self::Request, "object" | "oldObject") => Some(Self::Object),
            (Self::Object, "metadata") => Some(Self::Metadata),
            (Self::Metadata, MANAGED_FIELDS) => None,
            _ => Some(Self::Inside),
        }
    }
}

struct Seed<'a> {
    place: Place,
    depth: usize,
    too_deep: &'a Cell<bool>,
    scratch: &'a mut Scratch,
}

impl Seed<'_> {
    /// The seed for what is inside.
    fn deeper<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH {
            self.too_deep.set(true);
            return Err(E::custom("too deep"));
        }
        Ok(self.depth.saturating_add(1))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let start = self.scratch.items.len();
        while let Some(item) = access.next_element_seed(Seed {
            place: Place::Inside,
            depth,
            too_deep: self.too_deep,
            scratch: &mut *self.scratch,
        })? {
            self.scratch.items.push(item);
        }
        Ok(Value::from(self.scratch.items.split_off(start)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let start = self.scratch.fields.len();
        while let Some(name) = access.next_key_seed(NameSeed { names: &mut self.scratch.names })? {
            let Some(place) = self.place.of(&name) else {
                access.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = access.next_value_seed(Seed {
                place,
                depth,
                too_deep: self.too_deep,
                scratch: &mut *self.scratch,
            })?;
            self.scratch.fields.push((Value::String(name), value));
        }
        // Of a name that occurs twice the last one counts, as everywhere in Kubernetes.
        Ok(Value::from(self.scratch.fields.drain(start..).collect::<BTreeMap<_, _>>()))
    }
}

struct NameSeed<'a> {
    names: &'a mut Names,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Arc<str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Arc<str>, E> {
        Ok(self.names.get(name))
    }
}
