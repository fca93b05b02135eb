;; validate: policy_trapped
;; says: out of bounds memory access
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  (i32.load (i32.const 0x7fffffff)))
