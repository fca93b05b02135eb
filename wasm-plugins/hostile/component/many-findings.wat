;; validate: policy_output_too_large
;; says: the limit is 100
(data (i32.const 1024) "\00\00\00\00\00\08\00\00\65\00\00\00")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
