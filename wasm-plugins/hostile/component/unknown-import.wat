(component
  ;; load: policy_invalid
  ;; says: wasi:cli/environment@0.2.0
  (import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result (list string))))))
)
