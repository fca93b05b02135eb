;; validate: policy_memory
;; says: recurses too deeply
(func $deeper (param i32) (result i32) (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $deeper (i32.const 0)))
