;; validate: policy_output_invalid
;; says: cannot be read
(data (i32.const 1024) "accepted")
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_response (i32.const 1024) (i32.const 8))
  (i32.const 1))
