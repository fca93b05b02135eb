(module
  ;; load: policy_invalid
  ;; says: open_socket
  (import "env" "open_socket" (func (param i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1))
)
