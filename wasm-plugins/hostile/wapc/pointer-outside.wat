;; validate: policy_output_invalid
;; says: outside its memory
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_response (i32.const 0x7ffffff0) (i32.const 16))
  (i32.const 1))
