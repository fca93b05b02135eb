//! Any bytes as a review: decoded or refused, and what is decoded every later reader can take.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{Request, decode_review};
use policies::rego::input;

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    let Ok(request) = decode_review(&body) else { return };
    for object in [&request.object, &request.old_object].into_iter().flatten() {
        let _ = Request::metadata(object);
    }
    // The Rego reader and serde_json must agree on what is JSON, or a policy would see another object.
    let rego = input::decode(&request.raw);
    let json = serde_json::from_slice::<serde_json::Value>(&request.raw);
    if let (Ok(_), Err(error)) = (&rego, &json) {
        panic!("read by one reader only: {error}");
    }
});
