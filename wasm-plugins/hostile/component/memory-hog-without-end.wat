;; validate: policy_timeout
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  (loop $on (drop (memory.grow (i32.const 16))) (br $on))
  (unreachable))
