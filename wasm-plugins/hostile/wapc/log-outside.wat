;; validate: policy_output_invalid
;; says: outside its memory
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $console_log (i32.const 0x7fffffff) (i32.const 10))
  (i32.const 1))
