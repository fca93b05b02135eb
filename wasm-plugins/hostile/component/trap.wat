;; validate: policy_trapped
;; says: wasm `unreachable` instruction executed
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  unreachable)
