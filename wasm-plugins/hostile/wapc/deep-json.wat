;; validate: policy_output_invalid
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (memory.fill (i32.const 1024) (i32.const 91) (i32.const 100000))
  (call $guest_response (i32.const 1024) (i32.const 100000))
  (i32.const 1))
