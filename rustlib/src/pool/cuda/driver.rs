//! The CUDA driver, opened at run time: nothing of CUDA is needed to build gmemx or to
//! import it. Where there is none, every call says what is missing.

use std::env;
use std::error::Error as _;
use std::ffi::{CStr, OsString};
use std::mem::ManuallyDrop;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libloading::Library;

use super::symbols::{Code, Context, Functions, Handle, IpcHandle, Uuid};
use crate::error::{Error, Result};

/// As a number of a device: memory of the CPU.
pub const HOST: i32 = -1;

const LIBRARY: &str = "libcuda.so.1";
/// The environment variable that names another library to open.
const LIBRARY_VARIABLE: &str = "GMEMX_CUDA_DRIVER";

const SUCCESS: Code = 0;
const OUT_OF_MEMORY: Code = 2;
const NOT_INITIALIZED: Code = 3;
const NO_DEVICE: Code = 100;
/// CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS, the only flag there is and a required one.
const LAZY_PEER_ACCESS: u32 = 1;

const FORKED: &str = "CUDA cannot be used in a forked child of a process that has used it: \
                      start the process by 'spawn' instead";

/// The driver of this process and its devices.
pub struct Driver {
    functions: Functions,
    devices: Vec<Device>,
}

struct Device {
    handle: Handle,
    /// Its primary context, which torch and cupy use too; NULL until it is wanted. It is
    /// never given back: that would be a call into the driver while the process exits.
    context: AtomicPtr<std::ffi::c_void>,
}

/// What the first call found.
struct Known {
    process: u32,
    outcome: std::result::Result<Driver, String>,
}

// No lock: a forked child could find it held by a thread that it does not have.
static KNOWN: AtomicPtr<Known> = AtomicPtr::new(ptr::null_mut());

/// The driver; UNSUPPORTED, with what is missing, where there is none. Decided by the
/// first call.
pub fn driver() -> Result<&'static Driver> {
    let mut known = KNOWN.load(Ordering::Acquire);
    if known.is_null() {
        let made = Box::into_raw(Box::new(Known { process: process::id(), outcome: open() }));
        known = match KNOWN.compare_exchange(
            ptr::null_mut(),
            made,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => made,
            Err(theirs) => {
                // SAFETY: `made` is this thread's alone.
                drop(unsafe { Box::from_raw(made) });
                theirs
            }
        };
    }
    // SAFETY: a box that was leaked above, by this thread or another.
    let known = unsafe { &*known };
    match &known.outcome {
        Ok(driver) if known.process == process::id() => Ok(driver),
        Ok(_) => Err(Error::Unsupported(FORKED.into())),
        Err(missing) => Err(Error::Unsupported(missing.clone())),
    }
}

/// The driver, if this process has asked for it before and it was there.
pub fn opened() -> Option<&'static Driver> {
    (!KNOWN.load(Ordering::Acquire).is_null()).then(driver)?.ok()
}

fn open() -> std::result::Result<Driver, String> {
    let named = env::var_os(LIBRARY_VARIABLE).filter(|name| !name.is_empty());
    let name = named.unwrap_or_else(|| OsString::from(LIBRARY));
    // SAFETY: opening the driver's library has no effect but that it is there.
    let library = unsafe { Library::new(&name) }.map_err(|error| {
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        format!("there is no CUDA driver: its library cannot be opened: {reason}")
    })?;
    // Never closed: its functions are called for as long as the process lives.
    let library = ManuallyDrop::new(library);
    let name = name.to_string_lossy();
    // SAFETY: it is the CUDA driver, or what the user named as such; never closed.
    let functions = unsafe { Functions::of(&library) }
        .map_err(|symbol| format!("the CUDA driver {name} is too old: it has no {symbol}"))?;

    let started = |code, doing: &str| match code {
        SUCCESS => Ok(()),
        NO_DEVICE => Err(no_device(&name)),
        NOT_INITIALIZED => Err(FORKED.into()),
        code => {
            Err(format!("the CUDA driver {name} failed {doing}: {}", named_code(&functions, code)))
        }
    };
    // SAFETY: the manual's types; the flags must be 0.
    started(unsafe { (functions.init)(0) }, "to start")?;
    let mut count = 0;
    // SAFETY: room for the count.
    started(unsafe { (functions.device_count)(&mut count) }, "to count its devices")?;
    if count < 1 {
        return Err(no_device(&name));
    }
    let devices = (0..count).map(|ordinal| {
        let mut handle = 0;
        // SAFETY: room for the handle.
        started(unsafe { (functions.device_get)(&mut handle, ordinal) }, "to find a device")?;
        Ok(Device { handle, context: AtomicPtr::new(ptr::null_mut()) })
    });
    let devices = devices.collect::<std::result::Result<_, String>>()?;
    Ok(Driver { functions, devices })
}

fn no_device(name: &str) -> String {
    format!("there is no CUDA device: the driver {name} is there, but finds none")
}

/// As "CUDA_ERROR_INVALID_VALUE (1)".
fn named_code(functions: &Functions, code: Code) -> String {
    let mut name = ptr::null();
    // SAFETY: room for a pointer, which is set to NULL or a static string.
    let name = unsafe {
        (functions.error_name)(code, &mut name);
        if name.is_null() { c"an unknown error" } else { CStr::from_ptr(name) }
    };
    format!("{} ({code})", name.to_string_lossy())
}

/// A context, current in this thread until this is dropped.
struct Current<'a>(&'a Functions);

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut popped = ptr::null_mut();
        // SAFETY: room for a context; whoever made this has pushed one.
        unsafe { (self.0.context_pop)(&mut popped) };
    }
}

impl Driver {
    fn done(&self, code: Code, doing: impl FnOnce() -> String) -> Result<()> {
        match code {
            SUCCESS => Ok(()),
            OUT_OF_MEMORY => {
                Err(Error::OutOfMemory("out of memory: the CUDA device has no room left"))
            }
            code => Err(Error::Device(format!(
                "{} failed: {}",
                doing(),
                named_code(&self.functions, code)
            ))),
        }
    }

    fn device(&self, ordinal: i32) -> Result<&Device> {
        usize::try_from(ordinal).ok().and_then(|i| self.devices.get(i)).ok_or_else(|| {
            Error::OutOfRange(match self.devices.len() {
                1 => format!("there is no CUDA device {ordinal}: there is only device 0"),
                n => format!("there is no CUDA device {ordinal}: there are 0 to {}", n - 1),
            })
        })
    }

    pub fn check_device(&self, ordinal: i32) -> Result<()> {
        self.device(ordinal).map(drop)
    }

    fn context(&self, ordinal: i32) -> Result<Context> {
        let device = self.device(ordinal)?;
        let known = device.context.load(Ordering::Acquire);
        if !known.is_null() {
            return Ok(known);
        }
        let mut context = ptr::null_mut();
        // SAFETY: room for a context. Two threads that come here both get the same.
        let code = unsafe { (self.functions.context_retain)(&mut context, device.handle) };
        self.done(code, || format!("making a context on CUDA device {ordinal}"))?;
        device.context.store(context, Ordering::Release);
        Ok(context)
    }

    fn current(&self, ordinal: i32) -> Result<Current<'_>> {
        let context = self.context(ordinal)?;
        // SAFETY: a live context, since it is never given back.
        let code = unsafe { (self.functions.context_push)(context) };
        self.done(code, || format!("choosing CUDA device {ordinal}"))?;
        Ok(Current(&self.functions))
    }

    pub fn device_count(&self) -> Result<i32> {
        Ok(self.devices.len() as i32)
    }

    pub fn device_name(&self, ordinal: i32) -> Result<String> {
        let handle = self.device(ordinal)?.handle;
        let mut name = [0u8; 256];
        // SAFETY: room for that many bytes.
        let code = unsafe {
            (self.functions.device_name)(name.as_mut_ptr().cast(), name.len() as i32, handle)
        };
        self.done(code, || format!("asking for the name of CUDA device {ordinal}"))?;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        Ok(String::from_utf8_lossy(&name[..end]).into_owned())
    }

    /// What tells a device from all others, in every process; its number does not.
    pub fn uuid(&self, ordinal: i32) -> Result<[u8; 16]> {
        let handle = self.device(ordinal)?.handle;
        let mut uuid = Uuid([0; 16]);
        // SAFETY: room for one.
        let code = unsafe { (self.functions.device_uuid)(&mut uuid, handle) };
        self.done(code, || format!("asking for the UUID of CUDA device {ordinal}"))?;
        Ok(uuid.0)
    }

    /// The number that a device has in this process.
    pub fn ordinal_of(&self, uuid: &[u8; 16]) -> Result<i32> {
        for ordinal in 0..self.devices.len() as i32 {
            if self.uuid(ordinal)? == *uuid {
                return Ok(ordinal);
            }
        }
        let text: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        Err(Error::Device(format!(
            "the buffer is on the CUDA device of UUID {text}, which this process does not see"
        )))
    }

    pub fn alloc(&self, ordinal: i32, bytes: usize) -> Result<u64> {
        let _current = self.current(ordinal)?;
        let mut address = 0;
        // SAFETY: room for an address.
        let code = unsafe { (self.functions.alloc)(&mut address, bytes) };
        self.done(code, || format!("allocating {bytes} bytes on CUDA device {ordinal}"))?;
        Ok(address)
    }

    /// Frees what `alloc` gave; the driver itself refuses any other address.
    pub fn free(&self, ordinal: i32, address: u64) -> Result<()> {
        let _current = self.current(ordinal)?;
        // SAFETY: an address that the driver checks.
        let code = unsafe { (self.functions.free)(address) };
        self.done(code, || format!("freeing memory at {address:#x} of CUDA device {ordinal}"))
    }

    /// What other processes give to `import`. It stands for the whole of what `alloc` gave.
    pub fn export(&self, ordinal: i32, address: u64) -> Result<[u8; 64]> {
        let _current = self.current(ordinal)?;
        let mut handle = IpcHandle([0; 64]);
        // SAFETY: room for one; an address that the driver checks.
        let code = unsafe { (self.functions.ipc_export)(&mut handle, address) };
        self.done(code, || format!("exporting memory of CUDA device {ordinal}"))?;
        Ok(handle.0)
    }

    /// The address, in this process, of what another one has exported. The exporter itself
    /// is refused.
    pub fn import(&self, ordinal: i32, handle: &[u8; 64]) -> Result<u64> {
        let _current = self.current(ordinal)?;
        let mut address = 0;
        // SAFETY: room for an address; a handle that the driver checks.
        let code = unsafe {
            (self.functions.ipc_import)(&mut address, IpcHandle(*handle), LAZY_PEER_ACCESS)
        };
        self.done(code, || {
            format!("opening memory that another process has on CUDA device {ordinal}")
        })?;
        Ok(address)
    }

    /// Takes back one `import`.
    pub fn unimport(&self, ordinal: i32, address: u64) -> Result<()> {
        let _current = self.current(ordinal)?;
        // SAFETY: an address that the driver checks.
        let code = unsafe { (self.functions.ipc_close)(address) };
        self.done(code, || {
            format!("closing memory that another process has on CUDA device {ordinal}")
        })
    }

    /// Copies `n` bytes, which are there for every process when this returns. A device of
    /// [`HOST`] is the CPU.
    ///
    /// # Safety
    /// `target` has room for `n` bytes and `source` has `n` bytes, each on its device.
    pub unsafe fn copy(
        &self,
        target: u64,
        target_device: i32,
        source: u64,
        source_device: i32,
        n: usize,
    ) -> Result<()> {
        if (target_device, source_device) == (HOST, HOST) {
            // SAFETY: the caller's; `copy` allows for an overlap.
            unsafe { ptr::copy(source as *const u8, target as *mut u8, n) };
            return Ok(());
        }
        let at = if target_device == HOST { source_device } else { target_device };
        let _current = self.current(at)?;
        let functions = &self.functions;
        let code = if target_device == HOST {
            // SAFETY: the caller's; the device's context is current.
            unsafe { (functions.copy_to_host)(target as *mut _, source, n) }
        } else if source_device == HOST {
            // SAFETY: as above.
            unsafe { (functions.copy_to_device)(target, source as *const _, n) }
        } else if source_device == target_device {
            // SAFETY: as above.
            unsafe { (functions.copy_within)(target, source, n) }
        } else {
            let (to, from) = (self.context(target_device)?, self.context(source_device)?);
            // SAFETY: the caller's; live contexts of the two devices.
            unsafe { (functions.copy_between)(target, to, source, from, n) }
        };
        let what = || {
            let [to, from] = [target_device, source_device].map(|device| match device {
                HOST => "the CPU".to_owned(),
                device => format!("CUDA device {device}"),
            });
            format!("copying {n} bytes from {from} to {to}")
        };
        self.done(code, what)?;
        // Only a copy to the CPU has ended when its function returns.
        if target_device != HOST {
            // SAFETY: the default stream, in which the copies above are.
            self.done(unsafe { (functions.stream_wait)(ptr::null_mut()) }, what)?;
        }
        Ok(())
    }
}
