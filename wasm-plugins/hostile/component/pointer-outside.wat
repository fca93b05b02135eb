;; validate: policy_output_invalid
(data (i32.const 1024) "\00\00\00\00\00\08\00\00\01\00\00\00")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  (i32.store (i32.const 2048) (i32.const 0x7ffffff0))
  (i32.store (i32.const 2052) (i32.const 16))
  (i32.const 1024))
