;; validate: host_call_unsupported
;; says: kubewarden/oci/v2/verify
(data (i32.const 1024) "kubewarden")
(data (i32.const 1040) "oci")
(data (i32.const 1056) "v2/verify")
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (drop (call $host_call
    (i32.const 1024) (i32.const 10) (i32.const 1040) (i32.const 3) (i32.const 1056) (i32.const 9)
    (i32.const 0) (i32.const 0)))
  (call $host_error (i32.const 2048))
  (call $guest_error (i32.const 2048) (call $host_error_len))
  (i32.const 0))
