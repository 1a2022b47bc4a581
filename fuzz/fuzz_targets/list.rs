//! The body of a list; the first byte says in how large pieces it arrives.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nah_cache::fuzz::list(bytes));
