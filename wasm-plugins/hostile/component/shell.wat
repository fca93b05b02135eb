(component
  (core module $guest
;; fields
;; default memory
    (memory $memory (export "memory") 2)
;; default realloc
    (global $next (mut i32) (i32.const 65536))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (if (i32.eq (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1))) (i32.const -1))
          (then unreachable))))
      (local.get $at))
;; default validate
    (func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
;; default mutate
    (func $mutate (export "mutate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
;; default settings
    (func $settings (export "validate-settings") (param i32 i32) (result i32) (i32.const 1024))
;; end
  )
  (core instance $i (instantiate $guest))
  (type $finding-record (record
    (field "message" string) (field "code" string) (field "path" string) (field "details" string)
    (field "warn-only" bool)))
  (export $finding "finding" (type $finding-record))
  (type $mutation-variant (variant (case "patch" string) (case "object" string)))
  (export $mutation "mutation" (type $mutation-variant))
  (func $validate (param "request" string) (param "settings" string) (result (result (list $finding) (error string)))
    (canon lift (core func $i "validate") (memory $i "memory") (realloc (func $i "cabi_realloc"))))
  (export "validate" (func $validate))
  (func $mutate (param "request" string) (param "settings" string) (result (result (option $mutation) (error string)))
    (canon lift (core func $i "mutate") (memory $i "memory") (realloc (func $i "cabi_realloc"))))
  (export "mutate" (func $mutate))
  (func $settings (param "settings" string) (result (result (error string)))
    (canon lift (core func $i "validate-settings") (memory $i "memory") (realloc (func $i "cabi_realloc"))))
  (export "validate-settings" (func $settings))
)
