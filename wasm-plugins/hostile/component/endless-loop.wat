;; validate: policy_timeout
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (loop $on (br $on)) (unreachable))
