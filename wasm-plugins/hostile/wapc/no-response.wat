;; validate: policy_output_invalid
(func $call (export "__guest_call") (param i32 i32) (result i32)
  
  (i32.const 1))
