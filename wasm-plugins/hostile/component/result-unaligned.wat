;; validate: policy_output_invalid
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (i32.const 1025))
