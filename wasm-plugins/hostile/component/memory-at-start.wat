;; load: policy_invalid
;; says: MiB of memory
(func $start (loop $on (br_if $on (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable))
(start $start)
