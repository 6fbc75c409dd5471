//! The instances of a library, and what its exported functions do.

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::{Buffer, LogCallback, Response};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::logging::{Level, is_enabled, log_text, set_callback, set_level};
use crate::{Plugin, log};

const ACTIVE: u8 = 2;
const FAILED: u8 = 5;
const NO_INSTANCE: u8 = 255;

const BEFORE: &[u8] = br#"{"status":"success","payload":"#;

/// From tags and numbers to handlers. Written by [`plugin!`](crate::plugin!).
pub trait Dispatch: 'static {
    type State: Plugin;

    /// Writes the payload behind what is in `out`.
    ///
    /// # Errors
    /// The handler's, or that there is none.
    fn call(state: &Self::State, tag: &str, request: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// # Errors
    /// The handler's, or that there is none.
    fn call_raw(state: &Self::State, id: u32, request: &[u8]) -> Result<Vec<u8>>;
}

/// Calls a typed handler.
///
/// # Errors
/// The request is not what the handler takes, or the handler's.
pub fn answer<S, Q: DeserializeOwned, A: Serialize>(
    state: &S,
    request: &[u8],
    out: &mut Vec<u8>,
    handler: impl Fn(&S, Q) -> Result<A>,
) -> Result<()> {
    // So that handlers without a request can be called with nothing.
    let request = if request.is_empty() { b"null" } else { request };
    let request =
        serde_json::from_slice(request).map_err(|error| Error::serialization(error.to_string()))?;
    let answer = handler(state, request)?;
    serde_json::to_writer(out, &answer).map_err(|error| Error::serialization(error.to_string()))
}

struct Instance<S> {
    state: S,
    /// One of the numbers of plugin_get_state.
    lifecycle: AtomicU8,
    limit: usize,
    running: AtomicUsize,
    rejected: AtomicU64,
}

/// A call under way.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl<S> Instance<S> {
    fn enter(&self) -> Result<Running<'_>> {
        if self.lifecycle.load(Ordering::Acquire) != ACTIVE {
            return Err(Error::new(Code::InvalidState, "expected Active, got Failed"));
        }
        let before = self.running.fetch_add(1, Ordering::Acquire);
        let running = Running(&self.running);
        if self.limit > 0 && before >= self.limit {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Error::new(Code::TooManyRequests, ""));
        }
        Ok(running)
    }

    /// A handler that panics may have left anything half done, so it was the last one.
    fn guard<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            self.lifecycle.store(FAILED, Ordering::Release);
            format!("Plugin panicked: {}", text_of(panic.as_ref()))
        })
    }
}

type Instances<S> = RwLock<Vec<(u64, Arc<Instance<S>>)>>;

/// All instances of a library. Written by [`plugin!`](crate::plugin!).
pub struct Host<D: Dispatch> {
    instances: Instances<D::State>,
    /// A handle is never given twice: a stale one is known for what it is.
    handles: AtomicU64,
}

impl<D: Dispatch> Default for Host<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dispatch> Host<D> {
    #[must_use]
    pub const fn new() -> Self {
        Host { instances: RwLock::new(Vec::new()), handles: AtomicU64::new(0) }
    }

    fn find(&self, handle: *mut c_void) -> Option<Arc<Instance<D::State>>> {
        let wanted = handle.addr() as u64;
        let instances = self.instances.read().unwrap_or_else(PoisonError::into_inner);
        instances.iter().find(|(id, _)| *id == wanted).map(|(_, found)| Arc::clone(found))
    }

    #[must_use]
    pub fn create(&self) -> *mut c_void {
        Box::into_raw(Box::new(Config::default())).cast()
    }

    /// # Safety
    /// `config` is NULL or has `len` bytes.
    #[must_use]
    pub unsafe fn create_with_config(&self, config: *const u8, len: usize) -> *mut c_void {
        // SAFETY: the caller's.
        match Config::from_json(unsafe { bytes(config, len) }) {
            Ok(config) => Box::into_raw(Box::new(config)).cast(),
            Err(_) => ptr::null_mut(),
        }
    }

    /// # Safety
    /// `created` is NULL or of one of the two functions above, and used once; `config` is NULL or
    /// has `len` bytes; the callback may be called until the instance is shut down.
    #[must_use]
    pub unsafe fn init(
        &self,
        created: *mut c_void,
        config: *const u8,
        len: usize,
        callback: Option<LogCallback>,
    ) -> *mut c_void {
        if created.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's.
        let (created, given) =
            unsafe { (Box::from_raw(created.cast::<Config>()), bytes(config, len)) };
        let config = if given.is_empty() { Ok(*created) } else { Config::from_json(given) };
        if callback.is_some() {
            set_callback(callback);
            log_panics();
        }
        let started = config.and_then(|config| {
            set_level(config.log_level as u8);
            let state = panic::catch_unwind(|| D::State::start(&config))
                .unwrap_or_else(|panic| Err(Error::new(Code::Internal, text_of(panic.as_ref()))))?;
            Ok(Instance {
                state,
                lifecycle: AtomicU8::new(ACTIVE),
                limit: config.max_concurrent_ops,
                running: AtomicUsize::new(0),
                rejected: AtomicU64::new(0),
            })
        });
        match started {
            Ok(instance) => {
                let handle = self.handles.fetch_add(1, Ordering::Relaxed) + 1;
                let mut all = self.instances.write().unwrap_or_else(PoisonError::into_inner);
                all.push((handle, Arc::new(instance)));
                ptr::without_provenance_mut(handle as usize)
            }
            Err(error) => {
                log!(Level::Error, "the plugin did not start: {error}");
                ptr::null_mut()
            }
        }
    }

    /// # Safety
    /// `tag` is NULL or ends with a NUL; `request` is NULL or has `len` bytes.
    #[must_use]
    pub unsafe fn call(
        &self,
        handle: *mut c_void,
        tag: *const c_char,
        request: *const u8,
        len: usize,
    ) -> Buffer {
        let Some(instance) = self.find(handle) else {
            return Buffer::new(b"Invalid handle".to_vec(), Code::InvalidState as u32);
        };
        if tag.is_null() {
            return Buffer::new(b"Type tag is null".to_vec(), Code::ConfigError as u32);
        }
        // SAFETY: the caller's.
        let (tag, request) = unsafe { (CStr::from_ptr(tag), bytes(request, len)) };
        let Ok(tag) = tag.to_str() else {
            return Buffer::new(b"Invalid type tag encoding".to_vec(), Code::ConfigError as u32);
        };
        let done = instance.guard(|| {
            let _running = instance.enter()?;
            let mut out = Vec::with_capacity(BEFORE.len() + request.len() + 64);
            out.extend_from_slice(BEFORE);
            D::call(&instance.state, tag, request, &mut out)?;
            out.push(b'}');
            Ok(out)
        });
        match done {
            Ok(Ok(out)) => Buffer::new(out, 0),
            Ok(Err(error)) => Buffer::new(envelope(&error), error.code as u32),
            Err(text) => Buffer::new(text.into_bytes(), Code::Internal as u32),
        }
    }

    /// # Safety
    /// `request` is NULL or has `len` bytes.
    #[must_use]
    pub unsafe fn call_raw(
        &self,
        handle: *mut c_void,
        id: u32,
        request: *const c_void,
        len: usize,
    ) -> Response {
        let Some(instance) = self.find(handle) else {
            return Response::failure(&Error::new(Code::InvalidState, "Invalid handle"));
        };
        // SAFETY: the caller's.
        let request = unsafe { bytes(request.cast(), len) };
        let done = instance.guard(|| {
            let _running = instance.enter()?;
            D::call_raw(&instance.state, id, request)
        });
        match done {
            Ok(Ok(bytes)) => Response::new(bytes),
            Ok(Err(error)) => Response::failure(&error),
            Err(text) => Response::failure(&Error::new(Code::Internal, text)),
        }
    }

    #[must_use]
    pub fn shutdown(&self, handle: *mut c_void) -> bool {
        let wanted = handle.addr() as u64;
        let mut all = self.instances.write().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(id, _)| *id == wanted);
        let Some((_, instance)) = place.map(|place| all.swap_remove(place)) else {
            return false;
        };
        drop(all);
        let stopped = panic::catch_unwind(AssertUnwindSafe(|| instance.state.stop()));
        let clean = matches!(stopped, Ok(Ok(())));
        if let Ok(Err(error)) = stopped {
            log!(Level::Error, "the plugin did not end well: {error}");
        }
        set_callback(None);
        clean
    }

    pub fn set_log_level(&self, handle: *mut c_void, level: u8) {
        if self.find(handle).is_some() {
            set_level(level);
        }
    }

    #[must_use]
    pub fn state(&self, handle: *mut c_void) -> u8 {
        let found = self.find(handle);
        found.map_or(NO_INSTANCE, |instance| instance.lifecycle.load(Ordering::Acquire))
    }

    #[must_use]
    pub fn rejected_count(&self, handle: *mut c_void) -> u64 {
        self.find(handle).map_or(0, |instance| instance.rejected.load(Ordering::Relaxed))
    }
}

/// # Safety
/// `data` is NULL or has `len` bytes that live as long as is said.
unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(data, len) }
}

fn envelope(error: &Error) -> Vec<u8> {
    let text = serde_json::Value::String(error.to_string());
    let code = error.code as u32;
    format!(r#"{{"status":"error","error_code":{code},"error_message":{text}}}"#).into_bytes()
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "with something that is no text".to_string())
}

/// Tells the host where a panic was; without a host that listens, the standard error.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if is_enabled(Level::Error) {
                log_text(Level::Error, module_path!(), &format!("PANIC: {panic}"));
            } else {
                before(panic);
            }
        }));
    });
}
