(module
  ;; load: policy_invalid
  ;; says: __guest_request
  (import "wapc" "__guest_request" (func (param i64)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1))
)
