//! A plugin of the macro, called as a host does.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gmemx_plugin::{
    Buffer, Code, Config, Error, Level, LogCallback, Plugin, Response, Result, log, plugin,
};
use serde::{Deserialize, Serialize};

struct Counter {
    first: u64,
    calls: AtomicU64,
}

static STOPPED: AtomicU64 = AtomicU64::new(0);
static WAITING: AtomicBool = AtomicBool::new(false);
static GO: AtomicBool = AtomicBool::new(false);

impl Plugin for Counter {
    fn start(config: &Config) -> Result<Counter> {
        log!(Level::Info, "starting");
        if config.data == "panic" {
            panic!("no start");
        }
        if config.init_params == "refuse" {
            return Err(Error::config("refused"));
        }
        Ok(Counter { first: config.data["first"].as_u64().unwrap_or(0), calls: AtomicU64::new(0) })
    }

    fn stop(&self) -> Result<()> {
        STOPPED.fetch_add(1, Ordering::Relaxed);
        if self.first == 13 { Err(Error::new(Code::ShutdownFailed, "unlucky")) } else { Ok(()) }
    }
}

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize)]
struct Sum {
    result: i64,
}

fn add(_: &Counter, add: Add) -> Result<Sum> {
    Ok(Sum { result: add.a + add.b })
}

const BYTES: u32 = 2;

plugin! {
    state Counter;
    json "math.add" => add;
    json "next" => |counter, _: ()| Ok(counter.first + counter.calls.fetch_add(1, Ordering::Relaxed));
    json "number" => |_, text: String| Ok(text.parse::<i64>()?);
    json "panic" => |_, text: String| -> Result<()> { panic!("{text}") };
    json "log" => |_, text: String| {
        log!(Level::Warn, "{text}");
        log!(Level::Debug, "too quiet");
        Ok(())
    };
    json "wait" => |_, _: ()| {
        WAITING.store(true, Ordering::Release);
        while !GO.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    raw 1 => |counter, _| Ok(counter.first.to_le_bytes().to_vec());
    raw BYTES => |_, request| Ok(request.to_vec());
    raw 3 => |_, _| Err(Error::new(Code::Timeout, ""));
    raw 4 => |_, _| panic!("raw");
}

unsafe extern "C" {
    safe fn plugin_create() -> *mut c_void;
    fn plugin_create_with_config(config: *const u8, len: usize) -> *mut c_void;
    fn plugin_init(
        plugin: *mut c_void,
        config: *const u8,
        len: usize,
        log: Option<LogCallback>,
    ) -> *mut c_void;
    fn plugin_call(h: *mut c_void, tag: *const c_char, request: *const u8, len: usize) -> Buffer;
    fn plugin_call_raw(h: *mut c_void, id: u32, request: *const c_void, len: usize) -> Response;
    fn plugin_free_buffer(buffer: *mut Buffer);
    fn rb_response_free(response: *mut Response);
    safe fn plugin_shutdown(handle: *mut c_void) -> bool;
    safe fn plugin_set_log_level(handle: *mut c_void, level: u8);
    safe fn plugin_get_state(handle: *mut c_void) -> u8;
    safe fn plugin_get_rejected_count(handle: *mut c_void) -> u64;
}

/// The log and the level are one for the whole library, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

struct Loaded(*mut c_void);

// SAFETY: a handle is a number.
unsafe impl Sync for Loaded {}

fn load(config: &str, log: Option<LogCallback>) -> Option<Loaded> {
    // SAFETY: the pointers and lengths fit, and live for the calls.
    let handle = unsafe {
        let created = plugin_create_with_config(config.as_ptr(), config.len());
        plugin_init(created, config.as_ptr(), config.len(), log)
    };
    (!handle.is_null()).then_some(Loaded(handle))
}

impl Loaded {
    fn call(&self, tag: &str, request: &str) -> (u32, String) {
        let tag = CString::new(tag).unwrap();
        // SAFETY: as above; the answer is read and freed once.
        unsafe {
            let mut buffer = plugin_call(self.0, tag.as_ptr(), request.as_ptr(), request.len());
            let bytes = std::slice::from_raw_parts(buffer.data, buffer.len).to_vec();
            let code = buffer.error_code;
            plugin_free_buffer(&mut buffer);
            assert!(buffer.data.is_null() && buffer.capacity == 0);
            plugin_free_buffer(&mut buffer);
            (code, String::from_utf8(bytes).unwrap())
        }
    }

    fn raw(&self, id: u32, request: &[u8]) -> (u32, Vec<u8>) {
        // SAFETY: as above.
        unsafe {
            let mut response = plugin_call_raw(self.0, id, request.as_ptr().cast(), request.len());
            let bytes = match response.len {
                0 => Vec::new(),
                n => std::slice::from_raw_parts(response.data.cast(), n as usize).to_vec(),
            };
            let code = response.error_code;
            rb_response_free(&mut response);
            assert!(response.data.is_null());
            rb_response_free(&mut response);
            (code, bytes)
        }
    }

    fn end(self) -> bool {
        let clean = plugin_shutdown(self.0);
        assert_eq!(plugin_get_state(self.0), 255);
        clean
    }
}

fn ok(payload: &str) -> (u32, String) {
    (0, format!(r#"{{"status":"success","payload":{payload}}}"#))
}

fn failed(code: u32, text: &str) -> (u32, String) {
    (code, format!(r#"{{"status":"error","error_code":{code},"error_message":"{text}"}}"#))
}

#[test]
fn json_by_tag() {
    let _turn = TURN.lock().unwrap();
    let plugin = load(r#"{"data": {"first": 7}, "unknown": 1}"#, None).unwrap();
    assert_eq!(plugin.call("math.add", r#"{"a": 42, "b": 58}"#), ok(r#"{"result":100}"#));
    assert_eq!(plugin.call("next", ""), ok("7"));
    assert_eq!(plugin.call("next", "null"), ok("8"));
    assert_eq!(plugin.call("nothing", "{}"), failed(6, "unknown message type: nothing"));
    let (code, text) = plugin.call("math.add", r#"{"a": 42"#);
    assert_eq!(code, 5);
    assert!(text.contains("serialization error: EOF"), "{text}");
    let wrong = failed(7, "handler error: invalid digit found in string");
    assert_eq!(plugin.call("number", r#""a\"b""#), wrong);
    assert!(plugin.end());
}

#[test]
fn bytes_by_number() {
    let _turn = TURN.lock().unwrap();
    let plugin = load(r#"{"data": {"first": 258}}"#, None).unwrap();
    assert_eq!(plugin.raw(1, b""), (0, vec![2, 1, 0, 0, 0, 0, 0, 0]));
    let big = vec![5; 1 << 20];
    assert_eq!(plugin.raw(BYTES, &big), (0, big));
    assert_eq!(plugin.raw(BYTES, b""), (0, vec![]));
    assert_eq!(plugin.raw(3, b""), (10, b"request timed out\0".to_vec()));
    assert_eq!(plugin.raw(9, b""), (6, b"unknown message type: 9\0".to_vec()));
    assert!(plugin.end());
}

#[test]
fn a_panic_is_the_last_call() {
    let _turn = TURN.lock().unwrap();
    for how in ["json", "raw"] {
        let plugin = load("{}", Some(collect)).unwrap();
        assert_eq!(plugin_get_state(plugin.0), 2);
        if how == "json" {
            let answer = plugin.call("panic", r#""at the disco""#);
            assert_eq!(answer, (11, "Plugin panicked: at the disco".to_string()));
        } else {
            let (code, text) = plugin.raw(4, b"");
            assert_eq!((code, text.ends_with(b"Plugin panicked: raw\0")), (11, true));
        }
        assert_eq!(plugin_get_state(plugin.0), 5);
        assert_eq!(plugin.call("next", "").0, 1);
        assert_eq!(plugin.raw(1, b"").0, 1);
        plugin.end();
    }
    assert!(
        LOGGED
            .lock()
            .unwrap()
            .drain(..)
            .any(|(level, _, text)| level == 4 && text.contains("disco"))
    );
}

#[test]
fn calls_beyond_the_limit() {
    let _turn = TURN.lock().unwrap();
    let plugin = load(r#"{"max_concurrent_ops": 1}"#, None).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| plugin.call("wait", ""));
        while !WAITING.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let refused = failed(13, "too many concurrent requests (limit exceeded)");
        assert_eq!(plugin.call("next", ""), refused);
        assert_eq!(plugin.raw(1, b"").0, 13);
        assert_eq!(plugin_get_rejected_count(plugin.0), 2);
        GO.store(true, Ordering::Release);
        assert_eq!(waiter.join().unwrap(), ok("null"));
    });
    assert_eq!(plugin.call("next", ""), ok("0"));
    assert!(plugin.end());
}

static LOGGED: Mutex<Vec<(u8, String, String)>> = Mutex::new(Vec::new());

unsafe extern "C" fn collect(level: u8, target: *const c_char, message: *const u8, len: usize) {
    // SAFETY: what the kit promises of its logs.
    let (target, message) =
        unsafe { (CStr::from_ptr(target), std::slice::from_raw_parts(message, len)) };
    let target = target.to_str().unwrap().to_string();
    LOGGED.lock().unwrap().push((level, target, String::from_utf8(message.to_vec()).unwrap()));
}

#[test]
fn logs_go_to_the_host() {
    let _turn = TURN.lock().unwrap();
    LOGGED.lock().unwrap().clear();
    let plugin = load("", Some(collect)).unwrap();
    plugin.call("log", r#""loud""#);
    plugin_set_log_level(plugin.0, 1);
    plugin.call("log", r#""louder""#);
    plugin_set_log_level(plugin.0, 5);
    plugin.call("log", r#""off""#);
    assert!(plugin.end());
    log!(Level::Error, "nobody listens");
    let logged = LOGGED.lock().unwrap();
    let expected = [(2, "starting"), (3, "loud"), (3, "louder"), (1, "too quiet")];
    let expected = expected.map(|(level, text)| (level, "kit".to_string(), text.to_string()));
    assert_eq!(*logged, expected);
}

#[test]
fn configurations() {
    let _turn = TURN.lock().unwrap();
    for bad in [
        "nonsense",
        "[]",
        r#"{"worker_threads": 0}"#,
        r#"{"log_level": "loud"}"#,
        r#"{"max_concurrent_ops": -1}"#,
        r#"{"shutdown_timeout_ms": "soon"}"#,
    ] {
        // SAFETY: as above.
        assert!(unsafe { plugin_create_with_config(bad.as_ptr(), bad.len()) }.is_null(), "{bad}");
        // SAFETY: as above.
        let handle = unsafe { plugin_init(plugin_create(), bad.as_ptr(), bad.len(), None) };
        assert!(handle.is_null(), "{bad}");
    }
    assert!(load(r#"{"init_params": "refuse"}"#, None).is_none());
    assert!(load(r#"{"data": "panic"}"#, Some(collect)).is_none());
    let all = r#"{"worker_threads": null, "log_level": "error", "max_concurrent_ops": 0,
                  "shutdown_timeout_ms": 1, "data": null, "init_params": null}"#;
    assert!(load(all, None).unwrap().end());
    assert!(!load(r#"{"data": {"first": 13}}"#, None).unwrap().end());
}

#[test]
fn handles_that_are_none() {
    let _turn = TURN.lock().unwrap();
    let before = STOPPED.load(Ordering::Relaxed);
    let plugin = load("", None).unwrap();
    let stale = Loaded(plugin.0);
    assert!(plugin.end());
    assert_eq!(STOPPED.load(Ordering::Relaxed), before + 1);
    for wrong in [stale, Loaded(ptr::null_mut()), Loaded(ptr::without_provenance_mut(999))] {
        assert!(!plugin_shutdown(wrong.0));
        assert_eq!((wrong.call("next", "").0, wrong.raw(1, b"").0), (1, 1));
        assert_eq!(plugin_get_rejected_count(wrong.0), 0);
        plugin_set_log_level(wrong.0, 0);
    }
}
