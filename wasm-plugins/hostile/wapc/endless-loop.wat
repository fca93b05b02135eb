;; validate: policy_timeout
(func $call (export "__guest_call") (param i32 i32) (result i32) (loop $on (br $on)) (unreachable))
