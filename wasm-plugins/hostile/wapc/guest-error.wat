;; validate: policy_error
;; says: the policy failed: no idea
(data (i32.const 1024) "no idea")
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_error (i32.const 1024) (i32.const 7))
  (i32.const 0))
