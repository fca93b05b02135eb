;; validate: policy_output_too_large
;; says: limit of 1048576 bytes
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (drop (memory.grow (i32.const 800)))
  (call $guest_response (i32.const 0) (i32.const 50331648))
  (i32.const 1))
