;; load: policy_invalid
;; says: `wapc_init` as a function
(func (export "wapc_init") (param i32))
