(component
  ;; load: policy_invalid
  ;; says: does not fit world
)
