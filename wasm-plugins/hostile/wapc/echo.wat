;; Answers with the request's own bytes, cut out of the payload: 11 before it, 15 behind it when the
;; settings are `{}`. To `validate_settings` it answers with the settings. For random bytes.
(func $call (export "__guest_call") (param i32 i32) (result i32)
  (call $guest_request (i32.const 1024) (i32.const 2048))
  (if (i32.eq (local.get 0) (i32.const 8))
    (then (call $guest_response (i32.const 2059) (i32.sub (local.get 1) (i32.const 26))))
    (else (call $guest_response (i32.const 2048) (local.get 1))))
  (i32.const 1))
