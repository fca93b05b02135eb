;; validate: policy_trapped
;; says: status 3
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $proc_exit (i32.const 3))
  (i32.const 1))
