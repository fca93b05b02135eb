;; validate: policy_error
;; says: more than 1000 host calls
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (loop $on (call $console_log (i32.const 0) (i32.const 10)) (br $on))
  (i32.const 1))
