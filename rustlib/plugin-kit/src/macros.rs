//! The macros.

/// Writes the functions that a plugin exports.
///
/// In this order: the type of its state, where it has one; handlers of JSON by tag; handlers of
/// bytes by number, `|state, request: &[u8]| -> Result<Vec<u8>>`. Without any of the last kind the
/// plugin has no binary transport. Handlers are closures or functions; the crate's page has
/// examples.
#[macro_export]
macro_rules! plugin {
    (state $state:ty; $(json $tag:literal => $json:expr;)* $(raw $id:pat => $raw:expr;)*) => {
        const _: () = {
            use ::std::ffi::{c_char, c_void};

            struct Handlers;

            impl $crate::Dispatch for Handlers {
                type State = $state;

                fn call(
                    state: &$state,
                    tag: &str,
                    request: &[u8],
                    out: &mut ::std::vec::Vec<u8>,
                ) -> $crate::Result<()> {
                    let _ = (state, request, &out);
                    match tag {
                        $($tag => $crate::answer(state, request, out, $json),)*
                        _ => ::std::result::Result::Err($crate::Error::unknown(tag)),
                    }
                }

                fn call_raw(
                    state: &$state,
                    id: u32,
                    request: &[u8],
                ) -> $crate::Result<::std::vec::Vec<u8>> {
                    type Handler =
                        fn(&$state, &[u8]) -> $crate::Result<::std::vec::Vec<u8>>;
                    let handler: Handler = match id {
                        $($id => $raw,)*
                        _ => return ::std::result::Result::Err($crate::Error::unknown(id)),
                    };
                    handler(state, request)
                }
            }

            static HOST: $crate::Host<Handlers> = $crate::Host::new();

            #[unsafe(no_mangle)]
            pub extern "C" fn plugin_create() -> *mut c_void {
                HOST.create()
            }

            /// # Safety
            /// The configuration has so many bytes.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn plugin_create_with_config(
                config: *const u8,
                len: usize,
            ) -> *mut c_void {
                // SAFETY: the caller's.
                unsafe { HOST.create_with_config(config, len) }
            }

            /// # Safety
            /// `created` is of a function above; the configuration has so many bytes.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn plugin_init(
                created: *mut c_void,
                config: *const u8,
                len: usize,
                callback: ::std::option::Option<$crate::LogCallback>,
            ) -> *mut c_void {
                // SAFETY: the caller's.
                unsafe { HOST.init(created, config, len, callback) }
            }

            /// # Safety
            /// The tag ends with a NUL; the request has so many bytes.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn plugin_call(
                handle: *mut c_void,
                tag: *const c_char,
                request: *const u8,
                len: usize,
            ) -> $crate::Buffer {
                // SAFETY: the caller's.
                unsafe { HOST.call(handle, tag, request, len) }
            }

            /// # Safety
            /// NULL, or as `plugin_call` gave it.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn plugin_free_buffer(buffer: *mut $crate::Buffer) {
                // SAFETY: the caller's.
                if let ::std::option::Option::Some(buffer) = unsafe { buffer.as_mut() } {
                    // SAFETY: as above.
                    unsafe { buffer.free() }
                }
            }

            #[unsafe(no_mangle)]
            pub extern "C" fn plugin_shutdown(handle: *mut c_void) -> bool {
                HOST.shutdown(handle)
            }

            #[unsafe(no_mangle)]
            pub extern "C" fn plugin_set_log_level(handle: *mut c_void, level: u8) {
                HOST.set_log_level(handle, level);
            }

            #[unsafe(no_mangle)]
            pub extern "C" fn plugin_get_state(handle: *mut c_void) -> u8 {
                HOST.state(handle)
            }

            #[unsafe(no_mangle)]
            pub extern "C" fn plugin_get_rejected_count(handle: *mut c_void) -> u64 {
                HOST.rejected_count(handle)
            }

            $crate::plugin!(@binary $($id)*);
        };
    };
    (@binary) => {};
    (@binary $($id:pat)+) => {
        /// # Safety
        /// The request has so many bytes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn plugin_call_raw(
            handle: *mut c_void,
            id: u32,
            request: *const c_void,
            len: usize,
        ) -> $crate::Response {
            // SAFETY: the caller's.
            unsafe { HOST.call_raw(handle, id, request, len) }
        }

        /// # Safety
        /// NULL, or as `plugin_call_raw` gave it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn rb_response_free(response: *mut $crate::Response) {
            // SAFETY: the caller's.
            if let ::std::option::Option::Some(response) = unsafe { response.as_mut() } {
                // SAFETY: as above.
                unsafe { response.free() }
            }
        }
    };
    ($($rest:tt)*) => {
        $crate::plugin! { state (); $($rest)* }
    };
}

/// Logs to the host: `log!(Level::Info, "{n} of them")`. The target is the module.
#[macro_export]
macro_rules! log {
    ($level:expr, $($text:tt)+) => {
        if $crate::is_enabled($level) {
            $crate::log_text($level, ::std::module_path!(), &::std::format!($($text)+));
        }
    };
}
