;; validate: policy_memory
(table $table 1 funcref)
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (loop $on (br_if $on (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
  (unreachable))
