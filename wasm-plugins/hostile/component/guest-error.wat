;; validate: policy_error
;; says: the policy failed: no idea
(data (i32.const 1024) "\01\00\00\00\00\08\00\00\07\00\00\00")
(data (i32.const 2048) "no idea")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
