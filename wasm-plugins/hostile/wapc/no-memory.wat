(module
  ;; load: policy_invalid
  ;; says: a memory named `memory`
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1))
)
