//! Buffers of pools on devices.

use std::env;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use gmemx::error::{Error, Result};
use gmemx::pool::cuda::{HOST, driver};
use gmemx::pool::{Buffer, Pool};

use crate::standin::{again, apart, begun, calls, fetch, log, pattern, put, ready, role};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

fn name(test: &str) -> String {
    format!("gmemx-{}-{}", test.replace("::", "-"), std::process::id())
}

fn fill(buffer: &Buffer, seed: usize) {
    put(driver().unwrap(), buffer.device, buffer.data as u64, &pattern(buffer.size, seed));
}

fn check(buffer: &Buffer, seed: usize) {
    let found = fetch(driver().unwrap(), buffer.device, buffer.data as u64, buffer.size);
    assert!(found == pattern(buffer.size, seed), "buffer {} has other bytes", buffer.index);
}

fn check_gone(result: Result<Buffer>) {
    match result {
        Err(Error::Device(text)) => assert!(text.contains("is gone"), "{text}"),
        other => panic!("expected an error, found {other:?}"),
    }
}

fn logged() -> PathBuf {
    env::var_os("CUDA_STANDIN_LOG").unwrap().into()
}

/// Runs `body` apart, with a log of the calls.
fn apart_logged(test: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    let log = log(&test.replace("::", "-"));
    let mut all = variables.to_vec();
    all.push(("CUDA_STANDIN_LOG", log.to_str().unwrap()));
    apart(test, &all, body);
    std::fs::remove_file(log).unwrap();
}

#[test]
fn buffers_of_all_sizes_keep_their_bytes_and_come_back() {
    const TEST: &str = "pool::buffers_of_all_sizes_keep_their_bytes_and_come_back";
    apart_logged(TEST, &[], || {
        let pool = Pool::create(&name(TEST), 40, 0, 0o600).unwrap();
        let sizes = [1, 64, 257, 4096, 100_000, 3 << 20, 5, 70_000, 1 << 20];
        let mut held: Vec<(Buffer, usize)> = Vec::new();
        for turn in 0..400 {
            let size = sizes[turn * 7 % sizes.len()] + turn % 3;
            if held.len() == 40 {
                for _ in 0..13 {
                    let (buffer, seed) = held.swap_remove(turn * 31 % held.len());
                    check(&buffer, seed);
                    pool.release(buffer.handle).unwrap();
                }
            }
            let buffer = pool.acquire_cuda(size, (turn % 2) as i32, AT_ONCE).unwrap();
            assert_eq!((buffer.size, buffer.device), (size, (turn % 2) as i32));
            assert_eq!(buffer.data as usize % 256, 0);
            fill(&buffer, turn);
            held.push((buffer, turn));
        }
        for (buffer, seed) in &held {
            check(buffer, *seed);
            pool.release(buffer.handle).unwrap();
        }
        assert_eq!(calls(&logged(), "cuMemAlloc_v2"), 2);
        drop(pool);
        assert_eq!(calls(&logged(), "cuMemFree_v2"), 2);
    });
}

#[test]
fn free_neighbours_become_one() {
    const TEST: &str = "pool::free_neighbours_become_one";
    apart_logged(TEST, &[], || {
        let pool = Pool::create(&name(TEST), 9, 0, 0o600).unwrap();
        for count in [8, 2, 4, 1, 8] {
            let size = (64 << 20) / count;
            let held: Vec<Buffer> =
                (0..count).map(|_| pool.acquire_cuda(size, 0, AT_ONCE).unwrap()).collect();
            held.iter().for_each(|buffer| pool.release(buffer.handle).unwrap());
        }
        assert_eq!(calls(&logged(), "cuMemAlloc_v2"), 1);
    });
}

#[test]
fn slots_change_between_the_cpu_and_devices() {
    const TEST: &str = "pool::slots_change_between_the_cpu_and_devices";
    apart_logged(TEST, &[], || {
        let pool = Pool::create(&name(TEST), 8, 0, 0o600).unwrap();
        for turn in 0..4 {
            let on_device: Vec<Buffer> =
                (0..8).map(|_| pool.acquire_cuda(1000, turn % 2, AT_ONCE).unwrap()).collect();
            assert!(matches!(pool.acquire_cuda(1, 0, AT_ONCE), Err(Error::Timeout(_))));
            assert!(matches!(pool.acquire(1, AT_ONCE), Err(Error::Timeout(_))));
            on_device.iter().for_each(|buffer| pool.release(buffer.handle).unwrap());
            let on_cpu: Vec<Buffer> =
                (0..8).map(|_| pool.acquire(1000, AT_ONCE).unwrap()).collect();
            assert!(on_cpu.iter().all(|buffer| buffer.device == HOST));
            assert!(matches!(pool.acquire_cuda(1, 0, AT_ONCE), Err(Error::Timeout(_))));
            on_cpu.iter().for_each(|buffer| pool.release(buffer.handle).unwrap());
        }
        assert_eq!(calls(&logged(), "cuMemAlloc_v2"), 2);
    });
}

#[test]
fn a_waiter_gets_what_a_thread_releases() {
    const TEST: &str = "pool::a_waiter_gets_what_a_thread_releases";
    apart(TEST, &[], || {
        let pool = Pool::create(&name(TEST), 1, 0, 0o600).unwrap();
        for first_on_device in [true, false] {
            let first = match first_on_device {
                true => pool.acquire_cuda(100, 0, None).unwrap(),
                false => pool.acquire(100, None).unwrap(),
            };
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(50));
                    pool.release(first.handle).unwrap();
                });
                let second = pool.acquire_cuda(5000, 1, Some(Duration::from_secs(60))).unwrap();
                pool.release(second.handle).unwrap();
            });
        }
    });
}

#[test]
fn references_without_a_buffer_are_all_or_none() {
    const TEST: &str = "pool::references_without_a_buffer_are_all_or_none";
    apart(TEST, &[], || {
        let pool = Pool::create(&name(TEST), 6, 0, 0o600).unwrap();
        let mut indices = [0; 4];
        pool.preallocate_cuda(100, 1, &mut indices).unwrap();
        assert!(matches!(pool.preallocate_cuda(100, 1, &mut [0; 3]), Err(Error::Timeout(_))));
        let survey = pool.survey().unwrap();
        assert_eq!(survey.buffers.len(), 4);
        assert!(survey.buffers.iter().all(|buffer| buffer.on_device));
        for index in indices {
            assert_eq!(pool.ref_count(index).unwrap(), 1);
            let buffer = pool.get_index(index, true).unwrap();
            fill(&buffer, 3);
            pool.release(buffer.handle).unwrap();
            assert_eq!(pool.release_ref(index).unwrap(), 0);
        }
        assert!(matches!(pool.acquire_cuda(0, 0, AT_ONCE), Err(Error::InvalidArgument(_))));
        assert!(matches!(pool.acquire_cuda(1 << 62, 0, AT_ONCE), Err(Error::OutOfMemory(_))));
        assert!(matches!(pool.acquire_cuda(1, 2, AT_ONCE), Err(Error::OutOfRange(_))));
        assert!(matches!(pool.acquire_cuda(1, -1, AT_ONCE), Err(Error::OutOfRange(_))));
        assert_eq!(pool.survey().unwrap().buffers.len(), 0);
    });
}

#[test]
fn a_device_with_little_memory_is_used_to_the_last() {
    const TEST: &str = "pool::a_device_with_little_memory_is_used_to_the_last";
    let variables = [("CUDA_STANDIN_MEMORY", "20971520")];
    apart_logged(TEST, &variables, || {
        let pool = Pool::create(&name(TEST), 8, 0, 0o600).unwrap();
        let megabytes = |n: usize| pool.acquire_cuda(n << 20, 0, AT_ONCE);
        let (ten, eight) = (megabytes(10).unwrap(), megabytes(8).unwrap());
        assert!(matches!(megabytes(4), Err(Error::OutOfMemory(_))));
        let two = megabytes(2).unwrap();
        // What is free and unused makes room for a larger one.
        for buffer in [ten, eight] {
            fill(&buffer, 1);
            pool.release(buffer.handle).unwrap();
        }
        fill(&two, 2);
        let large = megabytes(18).unwrap();
        fill(&large, 3);
        check(&two, 2);
        assert_eq!(calls(&logged(), "cuMemFree_v2"), 2);
        pool.release(two.handle).unwrap();
        pool.release(large.handle).unwrap();
        assert!(pool.trim().unwrap() >= 20 << 20);
        assert_eq!(calls(&logged(), "cuMemFree_v2"), 4);
        megabytes(20).unwrap();
    });
}

#[test]
fn there_is_an_end_to_arenas() {
    const TEST: &str = "pool::there_is_an_end_to_arenas";
    let variables = [("CUDA_STANDIN_MEMORY", "10000000000")];
    apart_logged(TEST, &variables, || {
        let pool = Pool::create(&name(TEST), 100, 0, 0o600).unwrap();
        let whole = || pool.acquire_cuda(64 << 20, 0, AT_ONCE);
        let held: Vec<Buffer> = (0..64).map(|_| whole().unwrap()).collect();
        assert!(matches!(whole(), Err(Error::OutOfMemory(_))));
        // What could not be listed was freed again.
        assert_eq!(calls(&logged(), "cuMemFree_v2"), 1);
        pool.release(held[7].handle).unwrap();
        fill(&whole().unwrap(), 1);
        assert_eq!(pool.survey().unwrap().buffers.len(), 64);
    });
}

#[test]
fn an_error_of_the_driver_leaves_nothing_behind() {
    const TEST: &str = "pool::an_error_of_the_driver_leaves_nothing_behind";
    let functions = ["cuDevicePrimaryCtxRetain", "cuMemAlloc_v2", "cuIpcGetMemHandle"];
    if role().is_none() {
        for function in functions {
            let log = log("an-error");
            let path = log.to_str().unwrap();
            let fail = format!("{function}:999");
            again(TEST, function, &[("CUDA_STANDIN_FAIL", &fail), ("CUDA_STANDIN_LOG", path)]);
            std::fs::remove_file(log).unwrap();
        }
        return;
    }
    let pool = Pool::create(&name(TEST), 4, 0, 0o600).unwrap();
    for _ in 0..2 {
        let refused = pool.acquire_cuda(100, 0, None);
        assert!(matches!(refused, Err(Error::Device(text)) if text.contains("(999)")));
        assert!(pool.preallocate_cuda(100, 0, &mut [0; 2]).is_err());
    }
    let freed = calls(&logged(), "cuMemFree_v2");
    assert_eq!(freed, if role().as_deref() == Some("cuIpcGetMemHandle") { 4 } else { 0 });
    // SAFETY: no other thread reads the environment.
    unsafe { env::remove_var("CUDA_STANDIN_FAIL") };
    let held = [(); 4].map(|()| pool.acquire_cuda(100, 0, AT_ONCE).unwrap());
    assert_eq!(held.map(|buffer| pool.ref_count(buffer.index).unwrap()), [1; 4]);
}

/// Ten references to buffers of a device, and their indices.
fn ten_filled(pool: &Pool) -> [u32; 10] {
    let mut indices = [0; 10];
    pool.preallocate_cuda(1000, 1, &mut indices).unwrap();
    for index in indices {
        let buffer = pool.get_index(index, true).unwrap();
        fill(&buffer, index as usize);
        pool.release(buffer.handle).unwrap();
    }
    indices
}

#[test]
fn others_open_an_arena_once_and_its_owner_waits_for_them() {
    const TEST: &str = "pool::others_open_an_arena_once_and_its_owner_waits_for_them";
    match role().as_deref() {
        None => {
            let log = log("others");
            again(TEST, "owner", &[("CUDA_STANDIN_LOG", log.to_str().unwrap())]);
            std::fs::remove_file(log).unwrap();
        }
        Some("owner") => {
            let name = name(TEST);
            let pool = Pool::create(&name, 20, 0, 0o600).unwrap();
            let indices = ten_filled(&pool);
            let given = [("NAME", &*name), ("CUDA_STANDIN_REVERSED", "1")];
            again(TEST, "reader", &given);
            assert_eq!(calls(&logged(), "cuIpcOpenMemHandle_v2"), 1);
            assert_eq!(calls(&logged(), "cuIpcCloseMemHandle"), 1);
            let (mut child, _) = begun(TEST, "sitter", &given);
            for index in indices {
                pool.release_ref(index).unwrap();
            }
            // Nobody has a buffer, but somebody has the arena open.
            pool.trim().unwrap();
            assert_eq!(calls(&logged(), "cuMemFree_v2"), 0);
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(pool.trim().unwrap() >= 64 << 20);
            assert_eq!(calls(&logged(), "cuMemFree_v2"), 1);
            // So it is when the pool is closed.
            ten_filled(&pool);
            let (mut child, _) = begun(TEST, "sitter", &given);
            drop(pool);
            assert_eq!(calls(&logged(), "cuMemFree_v2"), 1);
            child.kill().unwrap();
            child.wait().unwrap();
            // Nobody is left, and whoever looks removes it.
            assert!(Pool::open(&name, false).is_err());
        }
        Some(role) => {
            let pool = Pool::open(&env::var("NAME").unwrap(), false).unwrap();
            for _ in 0..3 {
                for info in pool.survey().unwrap().buffers {
                    let buffer = pool.get(info.handle, false).unwrap();
                    // The owner counts the devices the other way round.
                    assert_eq!(buffer.device, 0);
                    check(&buffer, buffer.index as usize);
                    pool.release(buffer.handle).unwrap();
                }
            }
            if role == "sitter" {
                ready(&[]);
                thread::sleep(Duration::from_secs(600));
            }
        }
    }
}

#[test]
fn the_buffers_of_a_killed_process_are_gone_and_can_be_given_back() {
    const TEST: &str = "pool::the_buffers_of_a_killed_process_are_gone_and_can_be_given_back";
    match role().as_deref() {
        None => {
            let log = log("killed");
            again(TEST, "survivor", &[("CUDA_STANDIN_LOG", log.to_str().unwrap())]);
            std::fs::remove_file(log).unwrap();
        }
        Some("survivor") => {
            let name = name(TEST);
            let pool = Pool::create(&name, 6, 0, 0o600).unwrap();
            let mut before: Option<Buffer> = None;
            for round in 0..3 {
                let (mut child, given) = begun(TEST, "owner", &[("NAME", &name)]);
                let held = pool.get(given[0], true).unwrap();
                check(&held, 5);
                if let Some(before) = before.replace(held) {
                    check(&before, 5);
                    pool.release(before.handle).unwrap();
                }
                let seen = pool.get(given[1], false).unwrap();
                pool.release(seen.handle).unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
                // Before and after what it held is taken back.
                check_gone(pool.get(held.handle, false));
                check_gone(pool.get_index(given[2] as u32, false));
                assert_eq!(pool.reclaim().unwrap(), 2);
                check_gone(pool.get(held.handle, false));
                check_gone(pool.get_index(given[2] as u32, false));
                assert!(matches!(pool.get(given[1], false), Err(Error::NotFound(_))));
                // The hold from before is one still, and its address is not given away.
                assert_eq!(pool.ref_count(held.index).unwrap(), 1);
                let fresh = pool.acquire_cuda(2000, 1, AT_ONCE).unwrap();
                assert_ne!(fresh.data, held.data);
                fill(&fresh, round);
                check(&fresh, round);
                assert_eq!(pool.release_ref(given[2] as u32).unwrap(), 0);
                pool.release(fresh.handle).unwrap();
                assert_eq!(pool.survey().unwrap().buffers.len(), 1);
            }
            pool.release(before.unwrap().handle).unwrap();
            // All slots can be had again, though their memory was that of the dead.
            let all = [(); 6].map(|()| pool.acquire_cuda(100, 0, AT_ONCE).unwrap());
            all.iter().for_each(|buffer| pool.release(buffer.handle).unwrap());
            (0..6).for_each(|_| assert_eq!(pool.acquire(100, AT_ONCE).unwrap().device, HOST));
            // An arena of a dead process is closed when the next one is opened, but not while
            // a buffer in it is held.
            assert_eq!(calls(&logged(), "cuIpcOpenMemHandle_v2"), 3);
            assert_eq!(calls(&logged(), "cuIpcCloseMemHandle"), 1);
            drop(pool);
            assert_eq!(calls(&logged(), "cuIpcCloseMemHandle"), 3);
        }
        Some(_) => {
            let pool = Pool::open(&env::var("NAME").unwrap(), false).unwrap();
            let [given, kept, pinned] = [(); 3].map(|()| pool.acquire_cuda(100, 1, None).unwrap());
            [given, kept].iter().for_each(|buffer| fill(buffer, 5));
            pool.forget(pinned.handle).unwrap();
            ready(&[given.handle, kept.handle, u64::from(pinned.index)]);
            thread::sleep(Duration::from_secs(600));
        }
    }
}

#[test]
fn an_owner_that_closes_the_pool_keeps_what_others_hold() {
    const TEST: &str = "pool::an_owner_that_closes_the_pool_keeps_what_others_hold";
    match role().as_deref() {
        None => {
            let log = log("closes");
            again(TEST, "reader", &[("CUDA_STANDIN_LOG", log.to_str().unwrap())]);
            std::fs::remove_file(log).unwrap();
        }
        Some("reader") => {
            let name = name(TEST);
            let go = format!("{name}-go");
            let (pool, go) = (
                Pool::create(&name, 4, 0, 0o600).unwrap(),
                Pool::create(&go, 1, 0, 0o600).unwrap(),
            );
            let signal = go.acquire(1, None).unwrap();
            let (mut child, given) = begun(TEST, "owner", &[("NAME", &name)]);
            let held = pool.get(given[0], true).unwrap();
            go.release(signal.handle).unwrap();
            while pool.survey().unwrap().processes.len() > 1 {
                thread::sleep(Duration::from_millis(5));
            }
            check(&held, 8);
            fill(&held, 9);
            check(&held, 9);
            check_gone(pool.get(held.handle, false));
            assert_eq!(calls(&logged(), "cuMemFree_v2"), 0);
            pool.release(held.handle).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
        Some(_) => {
            let name = env::var("NAME").unwrap();
            let pool = Pool::open(&name, false).unwrap();
            let go = Pool::open(&format!("{name}-go"), false).unwrap();
            let buffer = pool.acquire_cuda(100, 0, None).unwrap();
            fill(&buffer, 8);
            ready(&[buffer.handle]);
            go.acquire(1, None).unwrap();
            drop(pool);
            thread::sleep(Duration::from_secs(600));
        }
    }
}

#[test]
fn a_process_that_cannot_open_an_arena_gets_no_hold() {
    const TEST: &str = "pool::a_process_that_cannot_open_an_arena_gets_no_hold";
    match role().as_deref() {
        None => again(TEST, "owner", &[]),
        Some("owner") => {
            let name = name(TEST);
            let pool = Pool::create(&name, 4, 0, 0o600).unwrap();
            let buffer = pool.acquire_cuda(100, 0, None).unwrap();
            fill(&buffer, 2);
            let fail = "cuIpcOpenMemHandle_v2:205";
            again(TEST, "reader", &[("NAME", &name), ("CUDA_STANDIN_FAIL", fail)]);
            again(TEST, "blind", &[("NAME", &name), ("GMEMX_CUDA_DRIVER", "/nowhere")]);
            assert_eq!(pool.ref_count(buffer.index).unwrap(), 1);
            pool.release(buffer.handle).unwrap();
            assert!(pool.trim().unwrap() > 0);
        }
        Some(role) => {
            let pool = Pool::open(&env::var("NAME").unwrap(), false).unwrap();
            for _ in 0..2 {
                match pool.get_index(0, false) {
                    Err(Error::Device(text)) if role == "reader" => {
                        assert!(text.contains("CUDA_ERROR_MAP_FAILED (205)"), "{text}");
                    }
                    Err(Error::Unsupported(_)) if role == "blind" => {}
                    other => panic!("expected an error, found {other:?}"),
                }
                assert_eq!(pool.ref_count(0).unwrap(), 1);
            }
            assert_eq!(pool.add_ref(0).unwrap(), 2);
            if role == "reader" {
                // SAFETY: no other thread reads the environment.
                unsafe { env::remove_var("CUDA_STANDIN_FAIL") };
                check(&pool.get_index(0, false).unwrap(), 2);
            }
        }
    }
}

#[test]
fn threads_share_devices() {
    const TEST: &str = "pool::threads_share_devices";
    apart(TEST, &[], || {
        let pool = Pool::create(&name(TEST), 5, 0, 0o600).unwrap();
        thread::scope(|scope| {
            for i in 0..8 {
                let pool = &pool;
                scope.spawn(move || {
                    for turn in 0..50 {
                        let (size, device) = (1000 + 300 * ((turn + i) % 5), (turn % 2) as i32);
                        let buffer = pool.acquire_cuda(size, device, None).unwrap();
                        fill(&buffer, i * turn);
                        let again = pool.get(buffer.handle, false).unwrap();
                        check(&again, i * turn);
                        pool.release(buffer.handle).unwrap();
                        pool.release(again.handle).unwrap();
                    }
                });
            }
        });
        assert_eq!(pool.survey().unwrap().buffers.len(), 0);
    });
}
