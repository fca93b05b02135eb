;; validate: policy_output_invalid
(data (i32.const 1024) "\ff\fe")
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_response (i32.const 1024) (i32.const 2))
  (i32.const 1))
