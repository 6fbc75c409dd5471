//! A plugin that was started: who may call it, and how it ends.

use std::ffi::{CStr, c_void};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::abi::{CallRaw, LEVEL_ERROR, LEVEL_OFF, code, state};
use super::bell::Bell;
use super::fork;
use super::gate::{Gate, Left};
use super::library::Library;
use super::logs::{self, Message, Queue, Sink};
use super::response::PluginResponse;
use crate::error::{Error, Result};

/// Rung when a closed plugin becomes empty or has ended: for all of them, since a plugin's own
/// could be gone by then.
static LEFT: Bell = Bell::new();

/// A plugin as its callers share it.
pub struct Instance {
    library: &'static Library,
    /// The plugin's own name for itself.
    handle: *mut c_void,
    generation: u32,
    gate: Gate,
    /// What it had rejected when it was last asked.
    rejected: AtomicU64,
    /// Where it logs to, until it ends.
    sink: Mutex<Option<Sink>>,
    logs: Option<Arc<Queue>>,
    me: Weak<Instance>,
    /// The owner's share of it, once it was abandoned: the last call to leave drops that.
    orphan: AtomicPtr<Instance>,
}

// SAFETY: a plugin may be called on any thread, several at once; its handle is only passed on.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

fn refusal(text: &str) -> Error {
    Error::Plugin { code: code::INVALID_STATE, text: text.into() }
}

impl Instance {
    /// A call goes in, unless it is refused. All that is refused here is refused before the
    /// plugin is touched.
    #[inline]
    pub fn enter(&self) -> Result<Visit> {
        if !self.is_of_this_process() {
            return Err(fork::refused());
        }
        if logs::is_delivering() {
            return Err(refusal("a plugin cannot be called from a log callback"));
        }
        self.visit().ok_or_else(|| refusal("the plugin is shut down"))
    }

    fn visit(&self) -> Option<Visit> {
        self.gate.enter().then(|| Visit(NonNull::from(self)))
    }

    #[inline]
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation == fork::generation()
    }

    pub(super) fn share(&self) -> Result<Arc<Instance>> {
        self.me.upgrade().ok_or_else(|| refusal("the plugin is shut down"))
    }

    pub fn state(&self) -> u8 {
        if !self.is_of_this_process() {
            state::INVALID
        } else if let Some(visit) = self.visit() {
            // SAFETY: the handle is alive while somebody is in.
            unsafe { (self.library.get_state)(visit.instance().handle) }
        } else if self.gate.is_ended() {
            state::STOPPED
        } else {
            state::STOPPING
        }
    }

    pub fn rejected_count(&self) -> u64 {
        if let Some(_visit) = self.is_of_this_process().then(|| self.visit()).flatten() {
            // SAFETY: the handle is alive while somebody is in.
            let count = unsafe { (self.library.get_rejected_count)(self.handle) };
            self.rejected.store(count, Relaxed);
        }
        self.rejected.load(Relaxed)
    }

    pub fn set_log_level(&self, level: u8) -> Result<()> {
        if level > LEVEL_OFF {
            return Err(Error::InvalidArgument(format!(
                "log level {level}: it is 0 to {LEVEL_OFF}"
            )));
        }
        if !self.is_of_this_process() {
            return Err(fork::refused());
        }
        let _visit = self.visit().ok_or_else(|| refusal("the plugin is shut down"))?;
        // SAFETY: the handle is alive while somebody is in.
        unsafe { (self.library.set_log_level)(self.handle, level) };
        Ok(())
    }

    pub fn in_flight(&self) -> u64 {
        self.gate.count()
    }

    pub fn has_binary_transport(&self) -> bool {
        self.library.raw.is_some()
    }

    /// The oldest message that waits; also after the plugin has ended.
    pub fn next_log(&self) -> Option<Message> {
        // A lock of the parent may be held for ever in a child.
        self.logs.as_ref().filter(|_| self.is_of_this_process())?.next()
    }

    pub fn dropped_logs(&self) -> u64 {
        self.logs.as_ref().map_or(0, |queue| queue.dropped())
    }

    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Refuses new calls, waits for those that are in, and ends the plugin. Gives whether it
    /// ended in good order.
    pub fn shut_down(&self, timeout: Option<Duration>) -> Result<bool> {
        if !self.is_of_this_process() {
            return Err(fork::refused());
        }
        self.gate.close();
        let mut mine = false;
        let over = LEFT.wait(timeout, || {
            mine = self.gate.begin_to_end();
            mine || self.gate.is_ended()
        });
        if mine {
            Ok(self.end())
        } else if over {
            Ok(true)
        } else {
            let timeout = timeout.unwrap_or_default();
            Err(Error::Timeout(match self.in_flight() {
                0 => format!("the plugin has not ended after {timeout:?}"),
                1 => format!("1 call is still in the plugin after {timeout:?}"),
                n => format!("{n} calls are still in the plugin after {timeout:?}"),
            }))
        }
    }

    /// By the one whom the gate chose.
    fn end(&self) -> bool {
        let library = self.library;
        // SAFETY: nobody is in and nobody comes in; the handle is not used again.
        let clean = unsafe {
            self.rejected.store((library.get_rejected_count)(self.handle), Relaxed);
            (library.shutdown)(self.handle)
        };
        drop(self.sink.lock().unwrap_or_else(PoisonError::into_inner).take());
        if clean {
            library.recycle();
        }
        // Whoever waits for this may free the plugin: nothing of it is touched behind here.
        self.gate.ended();
        LEFT.ring();
        clean
    }
}

/// A call that is in a plugin, which stays alive until it has left.
pub struct Visit(NonNull<Instance>);

impl Visit {
    #[inline]
    fn instance(&self) -> &Instance {
        // SAFETY: it lives while somebody is in.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub fn call(&self, tag: &CStr, request: &[u8]) -> PluginResponse {
        let (library, handle) = (self.instance().library, self.instance().handle);
        // SAFETY: the handle is alive while somebody is in; the rest is borrowed for the call.
        unsafe {
            let given = (library.call)(handle, tag.as_ptr(), start_of(request), request.len());
            PluginResponse::of_buffer(given, &library.buffers)
        }
    }

    /// Binary calls, where it takes them.
    #[inline]
    pub fn raw(&self) -> Result<Raw<'_>> {
        match self.instance().library.raw {
            Some(call) => Ok(Raw { visit: self, call }),
            None => Err(no_binary_calls()),
        }
    }
}

#[cold]
fn no_binary_calls() -> Error {
    Error::Plugin { code: code::FFI, text: "the plugin takes no binary calls".into() }
}

impl Drop for Visit {
    #[inline]
    fn drop(&mut self) {
        match self.instance().gate.leave() {
            Left::Open => {}
            Left::Empty => LEFT.ring(),
            // SAFETY: only the last one out is told so, once.
            Left::Orphaned => unsafe { end_orphan(self.0) },
        }
    }
}

/// # Safety
/// The instance is abandoned, its owner's share was left in it, and this is called once.
#[cold]
unsafe fn end_orphan(instance: NonNull<Instance>) {
    // SAFETY: the share keeps it alive.
    let share = unsafe { instance.as_ref() }.orphan.load(Acquire);
    // SAFETY: it came from `into_raw`, and nobody else takes it.
    let instance = unsafe { Arc::from_raw(share) };
    if instance.gate.begin_to_end() {
        instance.end();
    }
}

/// Binary calls of one visit.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    visit: &'a Visit,
    call: CallRaw,
}

impl Raw<'_> {
    #[inline]
    pub fn call(&self, id: u32, request: &[u8]) -> PluginResponse {
        let instance = self.visit.instance();
        // SAFETY: the handle is alive while somebody is in; the rest is borrowed for the call.
        unsafe {
            let start = start_of(request).cast();
            let given = (self.call)(instance.handle, id, start, request.len());
            PluginResponse::of_raw(given, &instance.library.responses)
        }
    }
}

/// Where a request begins: never NULL, and for an empty one a byte that can be read.
#[inline]
fn start_of(request: &[u8]) -> *const u8 {
    if request.is_empty() { c"".as_ptr().cast() } else { request.as_ptr() }
}

/// A plugin's owner: dropping it shuts the plugin down, or has the last call to leave do so.
pub struct Plugin(NonNull<Instance>);

// SAFETY: a share of an instance, which any thread may have.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Loads the library at `path` and starts a plugin of it. With `logs`, what it logs is
    /// kept.
    pub fn load(path: &Path, config: &[u8], logs: bool) -> Result<Plugin> {
        let library = Library::load(path, false)?;
        let mut started = start(library, path, config, logs);
        if matches!(started, Err(Error::Plugin { .. })) && library.started.load(Relaxed) {
            // A plugin that can be started only once in its library: it has another try.
            let pristine = Library::load(path, true)?;
            started = start(pristine, path, config, logs);
            if started.is_err() {
                pristine.recycle();
                library.recycle();
            }
        } else if started.is_err() {
            // It refused to begin, so nothing of it runs.
            library.recycle();
        }
        let share = Arc::into_raw(started?).cast_mut();
        // SAFETY: a share's pointer is not NULL.
        Ok(Plugin(unsafe { NonNull::new_unchecked(share) }))
    }

    pub fn into_raw(self) -> *mut Instance {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// # Safety
    /// `pointer` came from [`Plugin::into_raw`], and becomes an owner once.
    pub unsafe fn from_raw(pointer: NonNull<Instance>) -> Plugin {
        Plugin(pointer)
    }
}

impl Deref for Plugin {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        // SAFETY: the share keeps it alive.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // In a forked child what the parent loaded stays as it is.
        if !self.is_of_this_process() {
            return;
        }
        self.orphan.store(self.0.as_ptr(), Release);
        if self.gate.abandon() {
            // SAFETY: nobody is in, so no call to leave does it.
            unsafe { end_orphan(self.0) };
        }
    }
}

fn start(
    library: &'static Library,
    path: &Path,
    config: &[u8],
    logs: bool,
) -> Result<Arc<Instance>> {
    let sink = match logs.then(Sink::take) {
        Some(None) => {
            return Err(Error::Unsupported(
                "too many plugins log already: load this one without logs".into(),
            ));
        }
        taken => taken.flatten(),
    };
    let (data, len) =
        if config.is_empty() { (ptr::null(), 0) } else { (config.as_ptr(), config.len()) };
    let (created, code, what) = match library.create_with_config {
        Some(create) => {
            // SAFETY: the configuration is borrowed for the call.
            (unsafe { create(data, len) }, code::CONFIG_ERROR, "does not take its configuration")
        }
        None => {
            // SAFETY: it takes nothing.
            (unsafe { (library.create)() }, code::INITIALIZATION_FAILED, "could not be created")
        }
    };
    if created.is_null() {
        return Err(Error::Plugin { code, text: format!("{} {what}", path.display()) });
    }
    let callback = sink.as_ref().map(Sink::callback);
    // SAFETY: created just now and given away with this; the callback lives for ever.
    let handle = unsafe { (library.init)(created, data, len, callback) };
    if handle.is_null() {
        let why = sink.as_ref().and_then(last_error).unwrap_or_default();
        return Err(Error::Plugin {
            code: code::INITIALIZATION_FAILED,
            text: format!("{} did not start{why}", path.display()),
        });
    }
    library.started.store(true, Relaxed);
    Ok(Arc::new_cyclic(|me| Instance {
        library,
        handle,
        generation: fork::generation(),
        gate: Gate::default(),
        rejected: AtomicU64::new(0),
        logs: sink.as_ref().map(|sink| sink.queue().clone()),
        sink: Mutex::new(sink),
        me: me.clone(),
        orphan: AtomicPtr::new(ptr::null_mut()),
    }))
}

/// The last error that was logged, to be put behind a sentence.
fn last_error(sink: &Sink) -> Option<String> {
    let messages = std::iter::from_fn(|| sink.queue().next());
    let last = messages.filter(|message| message.level == LEVEL_ERROR).last()?;
    Some(format!(": {}", String::from_utf8_lossy(&last.text)))
}
