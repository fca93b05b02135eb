;; load: policy_invalid
;; says: memory
(memory $memory (export "memory") 2000)
