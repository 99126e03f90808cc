#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer has its own main, which leaves a peer that hangs up to end the process.
        use nix::sys::signal::{SigHandler, Signal, signal};
        // SAFETY: to ignore a signal runs nothing in its place.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.expect("a signal that can be ignored");
    },
    |input: &[u8]| {
        targets::grpc::run(input);
    }
);
