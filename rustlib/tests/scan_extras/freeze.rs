//! Values that stay.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use gmemx::scan::freeze::{Direction, Freezer, Value};
use gmemx::scan::{Source, ValueType};

use crate::memory::Memory;

const MS: Duration = Duration::from_millis(1);

fn memory() -> Arc<Memory> {
    let mut memory = Memory::new();
    memory.region(0x1000, 4096, vec![0; 4096]);
    Arc::new(memory)
}

fn value(address: u64, kind: ValueType, bits: u64, direction: Direction) -> Value {
    Value { address, kind, bits, direction }
}

fn put(memory: &Memory, address: u64, bytes: &[u8]) {
    assert_eq!(memory.write(address, bytes, false).unwrap(), bytes.len());
}

fn get<const N: usize>(memory: &Memory, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(memory.read(address, &mut bytes).unwrap(), N);
    bytes
}

#[track_caller]
fn soon(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it did not come about");
        thread::sleep(MS / 5);
    }
}

#[test]
fn a_value_is_put_back_until_it_is_let_go() {
    let memory = memory();
    let freezer = Freezer::new(memory.clone());
    let seven = freezer
        .add(value(0x1010, ValueType::Int32, -7i32 as u32 as u64, Direction::Fixed), MS)
        .unwrap();
    // At once.
    assert_eq!(i32::from_le_bytes(get(&memory, 0x1010)), -7);
    put(&memory, 0x100C, &[9; 12]);
    soon(|| i32::from_le_bytes(get(&memory, 0x1010)) == -7);
    // And nothing beside it.
    assert_eq!(get::<4>(&memory, 0x100C), [9; 4]);
    assert_eq!(get::<4>(&memory, 0x1014), [9; 4]);
    let state = freezer.state(seven).unwrap();
    assert!(state.writes >= 2 && state.active && state.errno == 0);
    freezer.remove(seven).unwrap();
    put(&memory, 0x1010, &[1; 4]);
    thread::sleep(MS * 10);
    assert_eq!(get::<4>(&memory, 0x1010), [1; 4]);
    for gone in [freezer.remove(seven).unwrap_err(), freezer.state(seven).unwrap_err()] {
        assert!(gone.to_string().contains("no value is frozen by the number 1"));
    }
}

#[test]
fn what_it_has_grown_to_is_the_new_floor() {
    let memory = memory();
    let freezer = Freezer::new(memory.clone());
    let clock = freezer.add(value(0x1100, ValueType::Uint8, 1, Direction::Fixed), MS).unwrap();
    for (address, kind, direction, kept, beyond, back) in [
        (0x1000, ValueType::Int8, Direction::Up, -3i64 as u64, 5u64, -4i64 as u64),
        (0x1008, ValueType::Uint8, Direction::Up, 3, 253, 4),
        (0x1010, ValueType::Int64, Direction::Down, 3, -5i64 as u64, 4),
        (
            0x1018,
            ValueType::Float32,
            Direction::Up,
            1.5f32.to_bits().into(),
            1e9f32.to_bits().into(),
            f32::NAN.to_bits().into(),
        ),
        (
            0x1020,
            ValueType::Float64,
            Direction::Down,
            1.5f64.to_bits(),
            (-1e99f64).to_bits(),
            2f64.to_bits(),
        ),
    ] {
        let size = kind.size();
        let there = |bits: u64| get::<8>(&memory, address)[..size] == bits.to_le_bytes()[..size];
        // Where it lies on the wrong side, which is that of what comes back, it is written.
        put(&memory, address, &back.to_le_bytes()[..size]);
        let number = freezer.add(value(address, kind, kept, direction), MS).unwrap();
        if kind != ValueType::Uint8 {
            assert!(there(kept), "{kind:?}");
        }
        let before = freezer.state(number).unwrap().writes;
        put(&memory, address, &beyond.to_le_bytes()[..size]);
        // Another value's third write from now on: by then this one was looked at.
        let rounds = || freezer.state(clock).unwrap().writes;
        let now = rounds();
        soon(|| rounds() >= now + 3);
        assert!(there(beyond));
        put(&memory, address, &back.to_le_bytes()[..size]);
        soon(|| there(beyond));
        assert!(freezer.state(number).unwrap().writes > before);
    }
}

#[test]
fn a_target_that_is_gone() {
    let memory = memory();
    let freezer = Freezer::new(memory.clone());
    let number = freezer.add(value(0x1000, ValueType::Int16, 5, Direction::Fixed), MS).unwrap();
    let other = freezer.add(value(0x1FFF, ValueType::Int8, 5, Direction::Up), MS).unwrap();
    // Memory that goes for a while is tried again.
    let kept = std::mem::take(&mut memory.contents.lock().unwrap()[0]);
    soon(|| freezer.state(number).unwrap().errno == libc::EFAULT);
    soon(|| freezer.state(other).unwrap().errno == libc::EFAULT);
    assert!(freezer.state(number).unwrap().active);
    memory.contents.lock().unwrap()[0] = kept;
    soon(|| freezer.state(number).unwrap().errno == 0);
    memory.gone.store(true, Ordering::Relaxed);
    soon(|| !freezer.state(number).unwrap().active);
    assert_eq!(freezer.state(number).unwrap().errno, libc::ESRCH);
    soon(|| !freezer.state(other).unwrap().active);
    let before = freezer.state(number).unwrap();
    memory.gone.store(false, Ordering::Relaxed);
    thread::sleep(MS * 5);
    assert_eq!(freezer.state(number).unwrap(), before);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let memory = memory();
    let freezer = Freezer::new(memory.clone());
    let refused = |value, interval| freezer.add(value, interval).unwrap_err().to_string();
    let good = value(0x1000, ValueType::Int32, 1, Direction::Fixed);
    assert!(refused(good, Duration::ZERO).contains("interval"));
    assert!(refused(good, Duration::from_secs(3601)).contains("interval"));
    assert!(refused(Value { address: 0x1FFE, ..good }, MS).contains("0x1ffe cannot be written"));
    let up = Value { address: 0x9000, direction: Direction::Up, ..good };
    assert!(refused(up, MS).contains("0x9000 cannot be read"));
    let nan = value(0x1000, ValueType::Float32, f32::NAN.to_bits().into(), Direction::Down);
    assert!(refused(nan, MS).contains("NaN"));
    assert!(Direction::from_code(2).is_err());
    memory.gone.store(true, Ordering::Relaxed);
    assert!(refused(good, MS).contains("ended"));
}

#[test]
fn many_freezers_end_promptly_and_write_no_more() {
    let memory = memory();
    let begun = Instant::now();
    for round in 0..50u8 {
        let freezer = Freezer::new(memory.clone());
        let slow = Duration::from_secs(3000);
        let byte = value(0x1000, ValueType::Uint8, round.into(), Direction::Fixed);
        freezer.add(byte, if round % 2 == 0 { slow } else { MS / 10 }).unwrap();
        drop(freezer);
        put(&memory, 0x1000, &[255]);
        thread::sleep(MS / 2);
        assert_eq!(get::<1>(&memory, 0x1000), [255]);
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    // Neither does one that never had a value.
    drop(Freezer::new(memory));
}

#[test]
fn a_forked_child_leaves_it_alone() {
    let memory = memory();
    let freezer = Freezer::new(memory.clone());
    let number = freezer
        .add(value(0x1000, ValueType::Uint8, 1, Direction::Fixed), Duration::from_micros(1))
        .unwrap();
    for _ in 0..20 {
        // SAFETY: the child does nothing that could wait for other threads, and ends by _exit.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let refused = freezer.state(number).is_err() && freezer.remove(number).is_err();
            drop(freezer);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if refused { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: our own child.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    }
    assert!(freezer.state(number).unwrap().active);
}
