//! The driver itself.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use gmemx::error::Error;
use gmemx::pool::cuda::{HOST, driver};

use crate::standin::{
    LIBRARY, PAGE, again, apart, calls, compiled, fetch, log, pattern, put, role,
};

fn missing() -> String {
    match driver().map(|_| ()) {
        Err(Error::Unsupported(text)) => text,
        other => panic!("expected no driver, found {other:?}"),
    }
}

fn device_text<T: std::fmt::Debug>(result: gmemx::error::Result<T>) -> String {
    match result {
        Err(Error::Device(text)) => text,
        other => panic!("expected an error of the device, found {other:?}"),
    }
}

#[test]
fn without_the_library_there_is_no_driver() {
    let variables = [(LIBRARY, "/nowhere/libcuda.so.1")];
    apart("driver::without_the_library_there_is_no_driver", &variables, || {
        let text = missing();
        assert!(text.contains("library cannot be opened"), "{text}");
        assert!(text.contains("/nowhere/libcuda.so.1"), "{text}");
        assert_eq!(missing(), text);
    });
}

#[test]
fn without_a_device_there_is_no_driver() {
    let variables = [("CUDA_STANDIN_DEVICES", "0")];
    apart("driver::without_a_device_there_is_no_driver", &variables, || {
        assert!(missing().contains("no CUDA device"), "{}", missing());
        // Decided once.
        // SAFETY: no other thread reads the environment.
        unsafe { env::set_var("CUDA_STANDIN_DEVICES", "2") };
        missing();
    });
}

#[test]
fn a_library_without_a_function_is_too_old() {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("half_a_driver.c");
    fs::write(&source, "int cuInit(unsigned flags) { return (int)flags; }\n").unwrap();
    let library = compiled(&source, "half_a_driver.so");
    let variables = [(LIBRARY, library.to_str().unwrap())];
    apart("driver::a_library_without_a_function_is_too_old", &variables, || {
        assert!(missing().contains("it has no cuGetErrorName"), "{}", missing());
    });
}

#[test]
fn a_driver_that_does_not_start_is_none() {
    let variables = [("CUDA_STANDIN_FAIL", "cuInit:999")];
    apart("driver::a_driver_that_does_not_start_is_none", &variables, || {
        assert!(missing().contains("failed to start: CUDA_ERROR_UNKNOWN (999)"), "{}", missing());
    });
}

#[test]
fn where_another_library_used_cuda_before_the_fork_it_says_so() {
    let variables = [("CUDA_STANDIN_FAIL", "cuInit:3")];
    apart("driver::where_another_library_used_cuda_before_the_fork_it_says_so", &variables, || {
        assert!(missing().contains("'spawn'"), "{}", missing());
    });
}

#[test]
fn devices_have_names_and_are_known_by_uuid() {
    const TEST: &str = "driver::devices_have_names_and_are_known_by_uuid";
    let check = |first, second| {
        let driver = driver().unwrap();
        assert_eq!(driver.device_count().unwrap(), 2);
        let names: Vec<String> = (0..2).map(|i| driver.device_name(i).unwrap()).collect();
        assert_eq!(names, [format!("Stand-in GPU {first}"), format!("Stand-in GPU {second}")]);
        for (ordinal, physical) in [(0, first), (1, second)] {
            let uuid = driver.uuid(ordinal).unwrap();
            assert_eq!(uuid, format!("standin-device-{physical}").as_bytes());
            assert_eq!(driver.ordinal_of(&uuid).unwrap(), ordinal);
        }
        for absent in [-2, HOST, 2, i32::MAX] {
            assert!(matches!(driver.uuid(absent), Err(Error::OutOfRange(_))));
            assert!(matches!(driver.device_name(absent), Err(Error::OutOfRange(_))));
            assert!(matches!(driver.alloc(absent, 64), Err(Error::OutOfRange(_))));
        }
        assert!(device_text(driver.ordinal_of(&[7; 16])).contains("07070707"));
    };
    match role().as_deref() {
        None => {
            again(TEST, "in order", &[]);
            again(TEST, "reversed", &[("CUDA_STANDIN_REVERSED", "1")]);
        }
        Some("in order") => check(0, 1),
        Some(_) => check(1, 0),
    }
}

#[test]
fn bytes_are_copied_between_all_kinds_of_memory() {
    apart("driver::bytes_are_copied_between_all_kinds_of_memory", &[], || {
        let driver = driver().unwrap();
        let n = 3 * PAGE + 77;
        let blocks = [0, 0, 1].map(|device| (device, driver.alloc(device, n + 64).unwrap()));
        let bytes = pattern(n, 1);
        let [(first, a), (_, b), (second, c)] = blocks;
        put(driver, first, a, &bytes);
        assert_eq!(fetch(driver, first, a, n), bytes);
        // SAFETY: blocks of that size.
        unsafe {
            driver.copy(b + 64, first, a, first, n).unwrap();
            driver.copy(c, second, b + 64, first, n).unwrap();
        }
        assert_eq!(fetch(driver, first, b + 64, n), bytes);
        assert_eq!(fetch(driver, second, c, n), bytes);
        let mut host = vec![0u8; n];
        // SAFETY: vectors of that length.
        unsafe {
            driver.copy(host.as_mut_ptr() as u64, HOST, bytes.as_ptr() as u64, HOST, n).unwrap();
        }
        assert_eq!(host, bytes);
        for (device, address) in blocks {
            driver.free(device, address).unwrap();
        }
    });
}

#[test]
fn failures_name_the_error_and_what_was_done() {
    let variables = [("CUDA_STANDIN_MEMORY", "10000000")];
    apart("driver::failures_name_the_error_and_what_was_done", &variables, || {
        let driver = driver().unwrap();
        let block = driver.alloc(0, PAGE).unwrap();
        assert!(matches!(driver.alloc(0, 9_000_000), Err(Error::OutOfMemory(_))));
        let text = device_text(driver.free(0, block + 1));
        assert!(text.contains("CUDA_ERROR_INVALID_VALUE (1)"), "{text}");
        assert!(text.contains("freeing memory"), "{text}");
        assert!(text.contains("device 0"), "{text}");
        let mut bytes = [0u8; 16];
        // SAFETY: the stand-in refuses both.
        let (beyond, absent) = unsafe {
            let room = bytes.as_mut_ptr() as u64;
            (
                driver.copy(room, HOST, block + PAGE as u64 - 15, 0, 16),
                driver.copy(room, HOST, block, 5, 16),
            )
        };
        let text = device_text(beyond);
        assert!(text.contains("copying 16 bytes from CUDA device 0 to the CPU"), "{text}");
        assert!(matches!(absent, Err(Error::OutOfRange(_))));
        let text = device_text(driver.import(0, &driver.export(0, block).unwrap()));
        assert!(text.contains("CUDA_ERROR_INVALID_CONTEXT (201)"), "{text}");
        driver.free(0, block).unwrap();
        assert!(device_text(driver.free(0, block)).contains("INVALID_VALUE"));
        // What failed has left no context behind, and does not stand in the way.
        driver.alloc(0, 9_000_000).unwrap();
    });
}

#[test]
fn every_function_that_fails_is_noticed() {
    const TEST: &str = "driver::every_function_that_fails_is_noticed";
    let late = [
        "cuDeviceGetName",
        "cuDeviceGetUuid_v2",
        "cuDevicePrimaryCtxRetain",
        "cuCtxPushCurrent_v2",
        "cuMemAlloc_v2",
        "cuMemFree_v2",
        "cuIpcGetMemHandle",
        "cuMemcpyHtoD_v2",
        "cuMemcpyDtoH_v2",
        "cuMemcpyDtoD_v2",
        "cuMemcpyPeer",
        "cuStreamSynchronize",
    ];
    let all = || -> gmemx::error::Result<()> {
        let driver = driver().unwrap();
        driver.device_name(0)?;
        driver.uuid(0)?;
        let (a, b) = (driver.alloc(0, PAGE)?, driver.alloc(1, PAGE)?);
        let mut bytes = pattern(64, 0);
        let host = bytes.as_mut_ptr() as u64;
        // SAFETY: room for 64 bytes everywhere.
        unsafe {
            driver.copy(a, 0, host, HOST, 64)?;
            driver.copy(a + 64, 0, a, 0, 64)?;
            driver.copy(b, 1, a + 64, 0, 64)?;
            driver.copy(host, HOST, b, 1, 64)?;
        }
        driver.export(0, a)?;
        driver.free(0, a)?;
        driver.free(1, b)
    };
    match role() {
        None => {
            again(TEST, "none", &[]);
            for function in late {
                again(TEST, function, &[("CUDA_STANDIN_FAIL", &format!("{function}:700"))]);
            }
        }
        Some(role) if role == "none" => all().unwrap(),
        Some(_) => assert!(device_text(all()).contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)")),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(variable: &str) -> [u8; N] {
    let text = env::var(variable).unwrap();
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn another_process_sees_exported_memory() {
    const TEST: &str = "driver::another_process_sees_exported_memory";
    let n = PAGE + 5;
    match role().as_deref() {
        None => again(TEST, "exporter", &[]),
        Some("exporter") => {
            let driver = driver().unwrap();
            let block = driver.alloc(1, 2 * PAGE).unwrap();
            put(driver, 1, block, &pattern(n, 3));
            let handle = to_hex(&driver.export(1, block).unwrap());
            let uuid = to_hex(&driver.uuid(1).unwrap());
            let given = [("HANDLE", &*handle), ("UUID", &*uuid)];
            again(TEST, "importer", &given);
            assert_eq!(fetch(driver, 1, block, n), pattern(n, 4));
            again(TEST, "importer", &[given[0], given[1], ("CUDA_STANDIN_REVERSED", "1")]);
            driver.free(1, block).unwrap();
            again(TEST, "late", &given);
        }
        Some("late") => {
            let text = device_text(driver().unwrap().import(1, &from_hex("HANDLE")));
            assert!(text.contains("opening memory that another process has"), "{text}");
        }
        Some(_) => {
            let driver = driver().unwrap();
            let handle = from_hex("HANDLE");
            let device = driver.ordinal_of(&from_hex("UUID")).unwrap();
            assert_eq!(device, i32::from(env::var_os("CUDA_STANDIN_REVERSED").is_none()));
            let block = driver.import(device, &handle).unwrap();
            assert_eq!(driver.import(device, &handle).unwrap(), block);
            driver.unimport(device, block).unwrap();
            let found = fetch(driver, device, block, n);
            assert!(found == pattern(n, 3) || found == pattern(n, 4));
            put(driver, device, block, &pattern(n, 4));
            assert!(device_text(driver.free(device, block)).contains("INVALID_VALUE"));
            driver.unimport(device, block).unwrap();
            assert!(device_text(driver.unimport(device, block)).contains("INVALID_VALUE"));
        }
    }
}

#[test]
fn a_forked_child_is_told_to_be_spawned() {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
    }
    apart("driver::a_forked_child_is_told_to_be_spawned", &[], || {
        driver().unwrap();
        // SAFETY: the child calls `driver` alone, which takes no lock, and ends.
        let child = unsafe { fork() };
        if child == 0 {
            let told =
                matches!(driver(), Err(Error::Unsupported(text)) if text.contains("'spawn'"));
            // SAFETY: as the C library has it.
            unsafe { _exit(i32::from(!told)) };
        }
        let mut status = -1;
        // SAFETY: a child of this process, and room for its status.
        assert_eq!(unsafe { waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(driver().unwrap().device_count().unwrap(), 2);
    });
}

#[test]
fn threads_share_it_and_nothing_is_called_at_the_end() {
    const TEST: &str = "driver::threads_share_it_and_nothing_is_called_at_the_end";
    if role().is_none() {
        let log = log("threads");
        again(TEST, "threads", &[("CUDA_STANDIN_LOG", log.to_str().unwrap())]);
        assert_eq!(calls(&log, "cuCtxPushCurrent_v2"), calls(&log, "cuCtxPopCurrent_v2"));
        assert_eq!(calls(&log, "cuMemFree_v2"), 8 * 20);
        let text = fs::read_to_string(&log).unwrap();
        assert_eq!(calls(&log, "exit"), 1);
        assert!(text.ends_with(" exit\n"), "{text}");
        fs::remove_file(log).unwrap();
        return;
    }
    thread::scope(|scope| {
        for i in 0..8 {
            scope.spawn(move || {
                let driver = driver().unwrap();
                for j in 0..20 {
                    let device = (i + j) as i32 % 2;
                    let block = driver.alloc(device, 10_000).unwrap();
                    put(driver, device, block, &pattern(10_000, i * j));
                    assert_eq!(fetch(driver, device, block, 10_000), pattern(10_000, i * j));
                    driver.free(device, block).unwrap();
                }
            });
        }
    });
}
