;; validate: policy_timeout
(func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $on (br $on)) (unreachable))
