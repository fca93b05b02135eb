;; Returns the request's own bytes as its result: whatever they say is lifted. For random bytes.
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (local.get 0))
(func $mutate (export "mutate") (param i32 i32 i32 i32) (result i32) (local.get 0))
