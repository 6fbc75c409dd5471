//! Plugins: real libraries, compiled here from the faulty one of the Python tests, and what the
//! host makes of their calls, logs, queues and ends.

#![cfg(target_os = "linux")]

mod calls;
mod envelope;
mod life;
mod logs;
mod queue;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use gmemx::error::{Error, Result};
use gmemx::plugin::{Instance, Plugin, PluginResponse};

const ECHO: u32 = 2;
const SLEEP: u32 = 4;

/// A file name that nobody else has.
fn unique(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    fs::create_dir_all(&folder).expect("a folder");
    folder.join(format!("{}-{number}-{name}", std::process::id()))
}

/// The faulty plugin, compiled with these flags, as a file of its own: so a test meets no copy
/// that another test has used.
fn faults(flags: &[&str]) -> PathBuf {
    static BUILT: Mutex<BTreeMap<Vec<String>, PathBuf>> = Mutex::new(BTreeMap::new());
    let wanted: Vec<String> = flags.iter().map(ToString::to_string).collect();
    let mut built = BUILT.lock().expect("another test failed here");
    let library = built.entry(wanted).or_insert_with(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let path = unique("built.so");
        let done = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-shared", "-fPIC", "-pthread"])
            .args(flags)
            .arg("-I")
            .arg(root.join("include"))
            .arg(root.join("tests/plugin_faults/faults.c"))
            .arg("-o")
            .arg(&path)
            .status()
            .expect("there is a C compiler");
        assert!(done.success());
        path
    });
    let own = unique("faults.so");
    fs::copy(&*library, &own).expect("a copy");
    own
}

fn load_with(path: &Path, config: &str) -> Result<Plugin> {
    Plugin::load(path, config.as_bytes(), false)
}

fn load() -> Plugin {
    load_with(&faults(&[]), "").expect("a good plugin")
}

fn call(plugin: &Instance, tag: &str, request: &str) -> Result<PluginResponse> {
    let tag = CString::new(tag).expect("no NUL");
    plugin.enter()?.call(&tag, request.as_bytes()).checked()
}

fn raw(plugin: &Instance, id: u32, request: &[u8]) -> Result<PluginResponse> {
    plugin.enter()?.raw()?.call(id, request).checked()
}

/// Sleeps inside the plugin.
fn sleep(plugin: &Instance, time: Duration) -> Result<PluginResponse> {
    raw(plugin, SLEEP, &(time.as_micros() as u32).to_ne_bytes())
}

/// The plugin's number for an error, and its text.
fn refusal<T>(result: Result<T>) -> (u32, String) {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(Error::Plugin { code, text }) => (code, text),
        Err(other) => panic!("another error: {other}"),
    }
}

/// Waits for what another thread is about to bring about.
fn eventually(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "it never came about");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What the plugin counts into a file that a test names, and which outlives it.
struct Counters(PathBuf);

impl Counters {
    fn new() -> Counters {
        Counters(unique("counts"))
    }

    fn config(&self) -> String {
        format!("{{\"counts\": \"{}\"}}", self.0.display())
    }

    fn get(&self, which: usize) -> u64 {
        let bytes = fs::read(&self.0).expect("counters");
        u64::from_ne_bytes(bytes[8 * which..][..8].try_into().expect("8 bytes"))
    }

    fn shutdowns(&self) -> u64 {
        self.get(6)
    }

    /// How many answers were not freed, of both kinds, were freed twice, and not as they were
    /// handed out.
    fn faults(&self) -> [u64; 4] {
        let [made, freed] = [0, 1].map(|which| self.get(which));
        let [raw_made, raw_freed] = [2, 3].map(|which| self.get(which));
        [made.wrapping_sub(freed), raw_made.wrapping_sub(raw_freed), self.get(4), self.get(5)]
    }
}
