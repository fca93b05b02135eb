;; load: policy_invalid
;; says: the policy crashed: wasm `unreachable` instruction executed
(func $start unreachable)
(start $start)
