;; validate: policy_output_too_large
;; says: limit of 1048576 bytes
;; A hundred findings which all name the same 64 KiB: small in the guest, large in the host.
(data (i32.const 1024) "\00\00\00\00\00\08\00\00\64\00\00\00")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32)
  (local $at i32)
  (local.set $at (i32.const 2048))
  (loop $on
    (i32.store (local.get $at) (i32.const 65536))
    (i32.store offset=4 (local.get $at) (i32.const 65536))
    (local.set $at (i32.add (local.get $at) (i32.const 36)))
    (br_if $on (i32.lt_u (local.get $at) (i32.const 5648))))
  (i32.const 1024))
