;; validate: policy_memory
;; says: more than its limit of 64 MiB
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (loop $on (br_if $on (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  (unreachable))
