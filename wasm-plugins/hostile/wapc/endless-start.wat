;; load: policy_invalid
;; says: ran longer
(func $start (loop $on (br $on)))
(start $start)
