;; validate: policy_trapped
;; says: out of bounds memory access
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (i32.load (i32.const 0x7fffffff)))
