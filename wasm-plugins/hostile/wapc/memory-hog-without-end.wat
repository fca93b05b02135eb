;; validate: policy_timeout
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (loop $on (drop (memory.grow (i32.const 16))) (br $on))
  (unreachable))
