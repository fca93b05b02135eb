//! How far a list over several namespaces has come, as its `continue` says it.
//!
//! A client can write one of its own, and gains nothing: the namespaces are those the user belongs to now, each is asked for
//! as the user, and all that is taken from here is where to begin and at which version.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Code;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The longest `continue`, in bytes.
const MAX: usize = 8 << 10;

/// How far a list has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The version of all of its pages; empty where the kind has none.
    pub(super) version: String,
    /// The last namespace of the page.
    pub(super) namespace: String,
    /// The API server's own `continue` within it; `None` where it was done.
    pub(super) rest: Option<String>,
}

impl Position {
    pub(super) fn write(&self) -> String {
        // Strings always become JSON.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a `continue`.
    ///
    /// # Errors
    /// [`Code::GatewayRequest`] for one that no list gave.
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        let bytes = (text.len() <= MAX).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
        let read = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        read.filter(|read| read.version.bytes().all(|byte| byte.is_ascii_digit())).ok_or_else(|| {
            let message =
                "the `continue` is none that a list of all namespaces gave here: list from the start";
            Refusal::new(Code::GatewayRequest, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let position =
            Position { version: "7".into(), namespace: "shop-web".into(), rest: Some("x&limit=0".into()) };
        assert_eq!(Position::read(&position.write()), Ok(position.clone()));
        let long = Position { rest: Some("x".repeat(MAX)), ..position.clone() };
        let odd = Position { version: "7&x".into(), ..position };
        let more = URL_SAFE_NO_PAD.encode(r#"{"version":"7","namespace":"a","rest":null,"more":1}"#);
        for text in [long.write(), odd.write(), more, String::new(), "bm90".into(), "%".into()] {
            assert_eq!(Position::read(&text).unwrap_err().code, Code::GatewayRequest, "{text}");
        }
    }
}
