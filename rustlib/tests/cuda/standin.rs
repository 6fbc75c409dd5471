//! Tests over the stand-in for the CUDA driver. The driver is decided once in a process,
//! so each case runs in a process of its own: the test's program again.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use gmemx::pool::cuda::{Driver, HOST};

pub const ROLE: &str = "CUDA_DRIVER_TEST_ROLE";
pub const LIBRARY: &str = "GMEMX_CUDA_DRIVER";
pub const PAGE: usize = 2 << 20;

/// A shared library of a C source, compiled where the tests keep what they make.
pub fn compiled(source: &Path, name: &str) -> PathBuf {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Under a name of this process first: another may be compiling it, or running it.
    let fresh = made.with_extension(std::process::id().to_string());
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .args([&fresh, source])
        .status();
    assert!(done.expect("cc, the C compiler").success());
    fs::rename(&fresh, &made).unwrap();
    made
}

pub fn standin() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        compiled(&root.join("tests/cuda_standin/cuda_standin.c"), "cuda_standin.so")
    })
}

fn command(test: &str, role: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(ROLE, role);
    if env::var_os(LIBRARY).is_none() {
        command.env(LIBRARY, standin());
    }
    command.envs(variables.iter().copied());
    command
}

/// Runs a test again in a process of its own, in a role; it has to pass.
pub fn again(test: &str, role: &str, variables: &[(&str, &str)]) {
    let output = command(test, role, variables).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Begins the same, and waits until it says [`ready`]: what it gave with that.
pub fn begun(test: &str, role: &str, variables: &[(&str, &str)]) -> (Child, Vec<u64>) {
    let mut child = command(test, role, variables).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let said = lines.find_map(|line| {
        let line = line.unwrap();
        let numbers = line.split_once("ready:")?.1.split_whitespace();
        Some(numbers.map(|number| number.parse().unwrap()).collect())
    });
    (child, said.expect("a process that does not end before it is ready"))
}

pub fn ready(numbers: &[u64]) {
    let text: Vec<String> = numbers.iter().map(u64::to_string).collect();
    println!("ready: {}", text.join(" "));
}

pub fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Runs `body` in a process of its own, with the stand-in for a driver.
pub fn apart(test: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    match role() {
        None => again(test, "alone", variables),
        Some(_) => body(),
    }
}

/// Bytes that differ from place to place.
pub fn pattern(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| ((i * 31) ^ (i >> 8) ^ seed) as u8).collect()
}

pub fn put(driver: &Driver, device: i32, address: u64, bytes: &[u8]) {
    // SAFETY: of the slice; the stand-in checks the other address.
    unsafe { driver.copy(address, device, bytes.as_ptr() as u64, HOST, bytes.len()) }.unwrap();
}

pub fn fetch(driver: &Driver, device: i32, address: u64, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    // SAFETY: as in `put`.
    unsafe { driver.copy(bytes.as_mut_ptr() as u64, HOST, address, device, n) }.unwrap();
    bytes
}

/// A fresh file for `CUDA_STANDIN_LOG`.
pub fn log(name: &str) -> PathBuf {
    let name = format!("{name}-{}.log", std::process::id());
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&log, "").unwrap();
    log
}

/// How often a function of the stand-in was called.
pub fn calls(log: &Path, function: &str) -> usize {
    let text = fs::read_to_string(log).unwrap();
    text.lines().filter(|line| line.split_once(' ').unwrap().1 == function).count()
}
