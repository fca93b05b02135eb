(component
  ;; load: policy_invalid
  (core module $guest (func (export "f") (result i32) (i32.const 0)))
  (core instance $i (instantiate $guest))
  (func $f (result u32) (canon lift (core func $i "f")))
  (export "validate" (func $f))
  (export "mutate" (func $f))
  (export "validate-settings" (func $f))
)
