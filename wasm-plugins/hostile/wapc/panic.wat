;; validate: policy_trapped
;; says: its last words were `panicked`
(data (i32.const 1024) "panicked\n")
(data (i32.const 1040) "\00\04\00\00\09\00\00\00")
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (drop (call $fd_write (i32.const 2) (i32.const 1040) (i32.const 1) (i32.const 1056)))
  unreachable)
