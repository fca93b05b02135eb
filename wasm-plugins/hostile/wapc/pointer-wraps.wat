;; validate: policy_output_invalid
;; says: outside its memory
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_response (i32.const 0xfffffff0) (i32.const 32))
  (i32.const 1))
