//! Parts of an object's metadata, read without the rest of the object.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// These parts; the empty ones where there is no object, or one that cannot be read.
pub(crate) fn parts<T: DeserializeOwned + Default>(object: Option<&[u8]>) -> T {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "T: DeserializeOwned + Default"))]
    struct Object<T> {
        #[serde(default)]
        metadata: T,
    }
    object
        .and_then(|text| serde_json::from_slice::<Object<T>>(text).ok())
        .map(|it| it.metadata)
        .unwrap_or_default()
}
