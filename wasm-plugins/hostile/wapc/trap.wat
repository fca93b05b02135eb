;; validate: policy_trapped
;; says: wasm `unreachable` instruction executed
(func $call (export "__guest_call") (param i32 i32) (result i32)
  unreachable)
