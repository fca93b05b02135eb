;; load: policy_invalid
;; says: ran longer
(func (export "wapc_init") (loop $on (br $on)))
