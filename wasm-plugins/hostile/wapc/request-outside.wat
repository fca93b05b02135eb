;; validate: policy_output_invalid
;; says: outside its memory
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_request (i32.const 0) (i32.const 131071))
  (i32.const 1))
