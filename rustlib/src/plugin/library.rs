//! A plugin's library: a private copy of its file, loaded and never unloaded.
//!
//! What a plugin logs to, its log level and its binary handlers are global to one loaded
//! library, so each instance has a copy of its own. Unloading would be unsound, because
//! threads may still have destructors in it; a copy whose instance was shut down in good
//! order serves the next one of the same file instead.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::abi::{
    Call, CallRaw, Create, CreateWithConfig, FreeBuffer, FreeResponse, GetRejectedCount, GetState,
    Init, SetLogLevel, Shutdown,
};
use super::fork;
use super::os::{self, Loaded};
use super::response::Release;
use crate::error::{Error, Result};

/// It lives as long as the process.
pub struct Library {
    pub create: Create,
    pub create_with_config: Option<CreateWithConfig>,
    pub init: Init,
    pub call: Call,
    pub shutdown: Shutdown,
    pub set_log_level: SetLogLevel,
    pub get_state: GetState,
    pub get_rejected_count: GetRejectedCount,
    /// Both or none of the functions of binary calls.
    pub raw: Option<CallRaw>,
    /// How responses of the two kinds are freed.
    pub buffers: Release,
    pub responses: Release,
    /// Whether an instance of it was ever started.
    pub started: AtomicBool,
    identity: Identity,
    _loaded: ManuallyDrop<Loaded>,
}

/// What tells one version of a file from another. The checksum is for one that is written
/// twice within a tick of the file system's clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    path: PathBuf,
    version: os::Version,
    checksum: u32,
}

/// What is known of a version of a file.
enum Known {
    Idle(Vec<&'static Library>),
    /// It was loaded, which cannot be undone, and is no plugin.
    Refused(String),
}

static SHELF: Mutex<Option<HashMap<Identity, Known>>> = Mutex::new(None);

/// All that is known, locked.
pub struct Shelf(MutexGuard<'static, Option<HashMap<Identity, Known>>>);

pub fn shelf() -> Shelf {
    Shelf(SHELF.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Shelf {
    pub fn clear(&mut self) {
        *self.0 = None;
    }

    fn take(&mut self, identity: &Identity, pristine: bool) -> Result<Option<&'static Library>> {
        match self.0.as_mut().and_then(|known| known.get_mut(identity)) {
            Some(Known::Idle(idle)) => {
                let fits = |library: &&'static Library| !pristine || !library.started.load(Relaxed);
                Ok(idle.iter().rposition(fits).map(|at| idle.swap_remove(at)))
            }
            Some(Known::Refused(why)) => Err(Error::InvalidArgument(why.clone())),
            None => Ok(None),
        }
    }
}

impl Library {
    /// A copy of the file at `path` that no other instance uses; a `pristine` one never was
    /// used.
    pub fn load(path: &Path, pristine: bool) -> Result<&'static Library> {
        fork::prepare();
        let failed = |source| Error::Io { what: format!("plugin {}", path.display()), source };
        let canonical = fs::canonicalize(path).map_err(failed)?;
        // Opening a pipe would wait for its other end.
        if !fs::metadata(&canonical).map_err(failed)?.is_file() {
            return Err(Error::InvalidArgument(format!("{} is no file", path.display())));
        }
        let mut file = File::open(&canonical).map_err(failed)?;
        let identity = Identity::of(&mut file, canonical).map_err(failed)?;
        if let Some(library) = shelf().take(&identity, pristine)? {
            return Ok(library);
        }
        file.rewind().map_err(failed)?;
        // From here on it stays.
        let loaded = ManuallyDrop::new(os::copied(&mut file, path)?);
        match Library::of(loaded, identity.clone()) {
            Ok(library) => Ok(Box::leak(Box::new(library))),
            Err(name) => {
                let why = format!("{} is no plugin: it has no function {name}", path.display());
                let known = Known::Refused(why.clone());
                shelf().0.get_or_insert_default().insert(identity, known);
                Err(Error::InvalidArgument(why))
            }
        }
    }

    /// For the next instance of the same file: no instance of it runs.
    pub fn recycle(&'static self) {
        let mut shelf = shelf();
        let known = shelf.0.get_or_insert_default().entry(self.identity.clone());
        if let Known::Idle(idle) = known.or_insert_with(|| Known::Idle(Vec::new())) {
            idle.push(self);
        }
    }

    /// Fails with the name of a function that is missing.
    fn of(
        loaded: ManuallyDrop<Loaded>,
        identity: Identity,
    ) -> std::result::Result<Library, &'static str> {
        /// # Safety
        /// T is the type of the symbol.
        unsafe fn symbol<T: Copy>(loaded: &Loaded, name: &CStr) -> Option<T> {
            // SAFETY: the caller's.
            unsafe { loaded.get::<T>(name.to_bytes_with_nul()) }.ok().map(|symbol| *symbol)
        }
        macro_rules! optional {
            ($name:literal) => {
                // SAFETY: the type of each is the ABI's, which whoever exports the name has.
                unsafe { symbol(&loaded, $name) }
            };
        }
        macro_rules! required {
            ($name:literal) => {
                optional!($name).ok_or($name.to_str().unwrap_or_default())?
            };
        }
        let raw: Option<CallRaw> = optional!(c"plugin_call_raw");
        let free_response: Option<FreeResponse> = optional!(c"rb_response_free");
        let free_buffer: FreeBuffer = required!(c"plugin_free_buffer");
        Ok(Library {
            create: required!(c"plugin_create"),
            create_with_config: optional!(c"plugin_create_with_config"),
            init: required!(c"plugin_init"),
            call: required!(c"plugin_call"),
            shutdown: required!(c"plugin_shutdown"),
            set_log_level: required!(c"plugin_set_log_level"),
            get_state: required!(c"plugin_get_state"),
            get_rejected_count: required!(c"plugin_get_rejected_count"),
            raw: raw.filter(|_| free_response.is_some()),
            buffers: Release::buffer(free_buffer),
            responses: free_response.map_or(Release::NOTHING, Release::response),
            started: AtomicBool::new(false),
            identity,
            _loaded: loaded,
        })
    }
}

impl Identity {
    fn of(file: &mut File, path: PathBuf) -> io::Result<Identity> {
        let data = file.metadata()?;
        let (mut checksum, mut bytes) = (0, vec![0; 1 << 18]);
        loop {
            match file.read(&mut bytes)? {
                0 => break,
                n => checksum = crc32c::crc32c_append(checksum, &bytes[..n]),
            }
        }
        Ok(Identity { path, version: os::version_of(&data), checksum })
    }
}
