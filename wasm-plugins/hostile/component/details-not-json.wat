;; validate: policy_output_invalid
;; says: not a JSON object
(data (i32.const 1024) "\00\00\00\00\00\08\00\00\01\00\00\00")
(data (i32.const 4096) "[1]")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  (i32.store (i32.const 2072) (i32.const 4096))
  (i32.store (i32.const 2076) (i32.const 3))
  (i32.const 1024))
