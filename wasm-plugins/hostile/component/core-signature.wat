;; load: policy_invalid
;; says: does not compile
(func $validate (export "validate") (param i64) (result i32) (i32.const 1024))
