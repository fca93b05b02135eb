;; load: policy_invalid
;; says: __guest_call(i32, i32) -> i32
(func $call (export "__guest_call") (param i64) (result i32) (i32.const 1))
