;; One finding, `found`, for every request.
(data (i32.const 1024) "\00\00\00\00\00\08\00\00\01\00\00\00")
(data (i32.const 2048) "\00\10\00\00\05\00\00\00")
(data (i32.const 4096) "found")
(func $validate (export "validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
