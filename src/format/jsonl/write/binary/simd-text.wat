;; Text to JSON, 16 bytes at a time. Its bytes are in simd-text.ts; a test assembles this file and compares.
;;
;; Both functions read memory[at, end), write to memory from `to` on, and return where they stopped. They read and write up
;; to 15 bytes more than that; the caller sees to the room.
(module
  ;; At 0: for each byte 0 when it stands for itself, 1 for \u00xx, else the letter behind the backslash.
  ;; At 256: the hex digits.
  (import "js" "memory" (memory 1))

  ;; Copies, and escapes what JSON does not allow in a string.
  (func (export "escape") (param $at i32) (param $end i32) (param $to i32) (result i32)
    (local $bytes v128) (local $left i32) (local $plain i32) (local $byte i32) (local $letter i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $left (i32.sub (local.get $end) (local.get $at)))
        (v128.store (local.get $to) (local.tee $bytes (v128.load (local.get $at))))
        ;; How many of the 16 come before the first that is to be escaped, and before the end.
        (local.set $plain (i32.ctz (i32.or
          (i32.shl (i32.const -1) (select (local.get $left) (i32.const 16) (i32.lt_u (local.get $left) (i32.const 16))))
          (i8x16.bitmask (v128.or
            (i8x16.lt_u (local.get $bytes) (i8x16.splat (i32.const 0x20)))
            (v128.or
              (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x22)))
              (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x5c)))))))))
        (local.set $at (i32.add (local.get $at) (local.get $plain)))
        (local.set $to (i32.add (local.get $to) (local.get $plain)))
        (br_if $next (i32.eq (local.get $plain) (i32.const 16)))
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $letter (i32.load8_u (local.tee $byte (i32.load8_u (local.get $at)))))
        (i32.store8 (local.get $to) (i32.const 0x5c))
        (if (i32.eq (local.get $letter) (i32.const 1))
          (then
            ;; "u00", then the two digits.
            (i32.store offset=1 (local.get $to) (i32.const 0x303075))
            (i32.store8 offset=4 (local.get $to)
              (i32.load8_u offset=256 (i32.shr_u (local.get $byte) (i32.const 4))))
            (i32.store8 offset=5 (local.get $to)
              (i32.load8_u offset=256 (i32.and (local.get $byte) (i32.const 15))))
            (local.set $to (i32.add (local.get $to) (i32.const 6))))
          (else
            (i32.store8 offset=1 (local.get $to) (local.get $letter))
            (local.set $to (i32.add (local.get $to) (i32.const 2)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $to))

  ;; Copies; line breaks become blanks.
  (func (export "blank") (param $at i32) (param $end i32) (param $to i32) (result i32)
    (local $bytes v128) (local $stop i32)
    (local.set $stop (i32.add (local.get $to) (i32.sub (local.get $end) (local.get $at))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (v128.store (local.get $to) (v128.bitselect
          (i8x16.splat (i32.const 0x20))
          (local.tee $bytes (v128.load (local.get $at)))
          (v128.or
            (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x0a)))
            (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x0d))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (br $next)))
    (local.get $stop)))
