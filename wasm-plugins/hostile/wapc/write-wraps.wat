;; validate: policy_output_invalid
;; says: outside its memory
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (drop (call $fd_write (i32.const 1) (i32.const 0xfffffffc) (i32.const 4) (i32.const 0)))
  (i32.const 1))
