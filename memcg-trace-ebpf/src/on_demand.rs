//! Programs that the loader runs on demand, as test runs of raw tracepoints. What they return says whether they succeeded.

/// Defines such a program: it returns 0 for `Some`. aya's `raw_tracepoint` returns 0 whatever its function returns.
macro_rules! on_demand {
    ($(#[doc = $doc:literal])* fn $name:ident($ctx:ident) = $done:expr;) => {
        $(#[doc = $doc])*
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "raw_tp")]
        pub fn $name(ctx: *mut core::ffi::c_void) -> u32 {
            let $ctx = aya_ebpf::programs::RawTracePointContext::new(ctx);
            let done: Option<()> = $done;
            u32::from(done.is_none())
        }
    };
}

pub(crate) use on_demand;
