;; validate: policy_output_too_large
;; says: limit of 1048576 bytes
(data (i32.const 1024) "\00\00\00\00\00\08\00\00\01\00\00\00")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  (drop (memory.grow (i32.const 800)))
  (i32.store (i32.const 2048) (i32.const 65536))
  (i32.store (i32.const 2052) (i32.const 50331648))
  (i32.const 1024))
