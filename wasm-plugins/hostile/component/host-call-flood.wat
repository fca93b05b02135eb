(component
  ;; validate: policy_error
  ;; says: more than 1000 host calls
  (import "bailey:policy/host@0.1.0" (instance $host
    (export "now" (func (result u64)))))
  (core func $now (canon lower (func $host "now")))
  (core module $guest
    (import "host" "now" (func $now (result i64)))
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "validate") (param i32 i32 i32 i32) (result i32) (loop $on (drop (call $now)) (br $on)) (unreachable))
    (func (export "settings") (param i32 i32) (result i32) (i32.const 1024)))
  (core instance $i (instantiate $guest (with "host" (instance (export "now" (func $now))))))
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
    (canon lift (core func $i "validate") (memory $i "memory") (realloc (func $i "cabi_realloc"))))
  (export "mutate" (func $mutate))
  (func $settings (param "settings" string) (result (result (error string)))
    (canon lift (core func $i "settings") (memory $i "memory") (realloc (func $i "cabi_realloc"))))
  (export "validate-settings" (func $settings))
)
