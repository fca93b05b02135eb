;; validate: policy_output_invalid
(data (i32.const 1024) "\07")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
