//! A line of a watch.
#![no_main]

libfuzzer_sys::fuzz_target!(|line: &[u8]| nah_cache::fuzz::watch(line));
