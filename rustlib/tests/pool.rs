//! Shared pools against a naive model: two processes do whatever they like, one step after
//! the other, and a table of counts says what must come of it.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gmemx::error::{Error, Result};
use gmemx::pool::{Buffer, Pool};
use proptest::prelude::*;

const CAPACITY: usize = 6;
const MOST_PINS: u64 = 255;
const MEGABYTE: u64 = 1 << 20;
/// Tells a child that it is the second process.
const SECOND: &str = "GMEMX_TEST_SECOND_PROCESS";

fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("model-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn name_of(error: &Error) -> String {
    match error {
        Error::NotFound(_) => "not found".into(),
        Error::Timeout(_) => "timeout".into(),
        Error::InvalidArgument(_) => "invalid".into(),
        Error::OutOfRange(_) => "out of range".into(),
        Error::Overflow(_) => "overflow".into(),
        other => format!("unexpected: {other}"),
    }
}

// ---- a process: commands in, answers out -----------------------------------------------

/// What one process does with the pool; the same code serves both.
struct Hands {
    pool: Pool,
    held: Vec<Buffer>,
}

impl Hands {
    fn bytes(buffer: &Buffer) -> &[u8] {
        // SAFETY: held, and nobody writes to it now: there is one step at a time.
        unsafe { std::slice::from_raw_parts(buffer.data, buffer.size) }
    }

    fn keep(&mut self, buffer: Buffer, fill: u8) -> String {
        if Hands::bytes(&buffer).iter().any(|&byte| byte != fill) {
            return format!("buffer {:#x} has another's content", buffer.handle);
        }
        self.held.push(buffer);
        format!("{} {} {}", buffer.handle, buffer.index, buffer.size)
    }

    fn give_back(&mut self, handle: u64, back: impl Fn(&Pool) -> Result<()>) -> Result<String> {
        back(&self.pool)?;
        let at = self.held.iter().position(|buffer| buffer.handle == handle);
        self.held.swap_remove(at.expect("it was given back without having been held"));
        Ok(String::new())
    }

    fn do_it(&mut self, command: &str) -> Result<String> {
        let words: Vec<&str> = command.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().expect("a number");
        let fill = |i: usize| number(i) as u8;
        let index = |i: usize| number(i) as u32;
        match words[0] {
            "acquire" => {
                let buffer = self.pool.acquire(number(1) as usize, Some(Duration::ZERO))?;
                // SAFETY: ours alone.
                unsafe { buffer.data.write_bytes(fill(2), buffer.size) };
                Ok(self.keep(buffer, fill(2)))
            }
            "get" => {
                let buffer = self.pool.get(number(1), number(2) == 1)?;
                Ok(self.keep(buffer, fill(3)))
            }
            "get_index" => {
                let buffer = self.pool.get_index(index(1), false)?;
                Ok(self.keep(buffer, fill(2)))
            }
            "claim" => {
                let buffer = self.pool.claim(number(1), number(2), false)?;
                Ok(self.keep(buffer, fill(3)))
            }
            "release" => self.give_back(number(1), |pool| pool.release(number(1))),
            "forget" => self.give_back(number(1), |pool| pool.forget(number(1))),
            "send" => self.pool.send(number(1)).map(|ticket| ticket.to_string()),
            "add_ref" => self.pool.add_ref(index(1)).map(|count| count.to_string()),
            "release_ref" => self.pool.release_ref(index(1)).map(|count| count.to_string()),
            "ref_count" => self.pool.ref_count(index(1)).map(|count| count.to_string()),
            "set_ref_count" => self.pool.set_ref_count(index(1), number(2)).map(|()| String::new()),
            "preallocate" => {
                let mut indices = vec![0; number(2) as usize];
                self.pool.preallocate(number(1) as usize, &mut indices)?;
                Ok(indices.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
            }
            "trim" => self.pool.trim().map(|_| String::new()),
            "reclaim" => self.pool.reclaim().map(|count| count.to_string()),
            "check" => {
                let wrong = self
                    .held
                    .iter()
                    .filter(|buffer| buffer.handle == number(1))
                    .any(|buffer| Hands::bytes(buffer).iter().any(|&byte| byte != fill(2)));
                Ok(if wrong { "overwritten".into() } else { String::new() })
            }
            other => unreachable!("{other:?} is no command"),
        }
    }

    fn answer(&mut self, command: &str) -> std::result::Result<String, String> {
        self.do_it(command).map_err(|error| name_of(&error))
    }
}

/// The second process: this test's program again, which runs `second_process` alone.
struct Second {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Second {
    fn start() -> Second {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "second_process", "--nocapture"])
            .env(SECOND, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a second process");
        let commands = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Second { child, commands, answers }
    }

    fn answer(&mut self, command: &str) -> std::result::Result<String, String> {
        writeln!(self.commands, "{command}").expect("the second process has ended");
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("an answer");
            assert!(read > 0, "the second process has ended in {command:?}");
            // The test harness writes there too.
            if let Some((_, answer)) = line.trim_end_matches('\n').split_once("answer:") {
                return match answer.split_once("error:") {
                    Some((_, error)) => Err(error.to_owned()),
                    None => Ok(answer.to_owned()),
                };
            }
        }
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn second_process() {
    if std::env::var_os(SECOND).is_none() {
        return;
    }
    let mut hands = None;
    for command in std::io::stdin().lines() {
        let command = command.expect("a command");
        let answer = match command.split_once(' ') {
            Some(("open", name)) => {
                let pool = Pool::open(name, false).expect("the pool");
                hands = Some(Hands { pool, held: Vec::new() });
                Ok(String::new())
            }
            None if command == "close" => {
                hands = None;
                Ok(String::new())
            }
            _ => hands.as_mut().expect("it was opened").answer(&command),
        };
        match answer {
            Ok(text) => println!("answer:{text}"),
            Err(text) => println!("answer:error:{text}"),
        }
    }
    // The first one has ended, and nobody reads what the test harness would say.
    std::process::exit(0);
}

// ---- the model -----------------------------------------------------------------------------

/// A step; the numbers choose among what there is, whatever that is by then.
#[derive(Clone, Debug)]
enum Step {
    Acquire { size: u64 },
    Get { which: usize, writable: bool },
    GetIndex { index: u32 },
    Release { which: usize },
    Forget { which: usize },
    AddRef { index: u32 },
    ReleaseRef { index: u32 },
    SetRefCount { index: u32, count: u64 },
    Preallocate { size: u64, count: usize },
    Send { which: usize },
    Claim { which: usize },
    Trim,
    Reclaim,
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![1u64..200, 1000u64..10_000, Just(4096), 60_000u64..100_000]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..CAPACITY as u32 + 1;
    let count = prop_oneof![0u64..6, Just(MOST_PINS), 250u64..260];
    prop_oneof![
        6 => size().prop_map(|size| Step::Acquire { size }),
        4 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, writable)| Step::Get { which, writable }),
        2 => index.clone().prop_map(|index| Step::GetIndex { index }),
        8 => any::<usize>().prop_map(|which| Step::Release { which }),
        2 => any::<usize>().prop_map(|which| Step::Forget { which }),
        2 => index.clone().prop_map(|index| Step::AddRef { index }),
        5 => index.clone().prop_map(|index| Step::ReleaseRef { index }),
        1 => (index, count).prop_map(|(index, count)| Step::SetRefCount { index, count }),
        1 => (size(), 0usize..CAPACITY + 2)
            .prop_map(|(size, count)| Step::Preallocate { size, count }),
        3 => any::<usize>().prop_map(|which| Step::Send { which }),
        3 => any::<usize>().prop_map(|which| Step::Claim { which }),
        1 => Just(Step::Trim),
        1 => Just(Step::Reclaim),
    ]
}

/// A buffer that somebody refers to, with the counts of both processes.
#[derive(Debug, Default)]
struct Live {
    handle: u64,
    size: u64,
    fill: u8,
    pins: u64,
    holds: [u64; 2],
    refs: [u64; 2],
    tickets: [Vec<u64>; 2],
}

impl Live {
    fn is_with(&self, process: usize) -> bool {
        self.holds[process] + self.refs[process] > 0 || !self.tickets[process].is_empty()
    }

    /// Its references as one of the processes counts them, but for the pins.
    fn held(&self, process: usize) -> u64 {
        let own = self.holds[process] + self.refs[process];
        own.max(u64::from(self.is_with(process))) + u64::from(self.is_with(1 - process))
    }

    fn count(&self, process: usize) -> u64 {
        self.held(process) + self.pins
    }
}

struct Model<'a> {
    first: Hands,
    second: &'a mut Second,
    live: BTreeMap<u32, Live>,
    /// Every handle there ever was, with what was in its buffer.
    handles: Vec<u64>,
    used: [bool; CAPACITY],
    fills: u8,
}

type Answer = std::result::Result<String, String>;

fn wanted<T>(error: &str) -> std::result::Result<T, String> {
    Err(error.to_owned())
}

impl Model<'_> {
    fn ask(&mut self, process: usize, command: &str) -> Answer {
        if process == 0 { self.first.answer(command) } else { self.second.answer(command) }
    }

    fn index_of(&self, handle: u64) -> Option<u32> {
        self.live.iter().find(|(_, live)| live.handle == handle).map(|(&index, _)| index)
    }

    fn a_handle(&self, which: usize) -> Option<u64> {
        (!self.handles.is_empty()).then(|| self.handles[which % self.handles.len()])
    }

    /// Why a slot cannot be used, if it is not live.
    fn absent(index: u32) -> &'static str {
        if index as usize >= CAPACITY { "out of range" } else { "not found" }
    }

    fn drop_if_free(&mut self, index: u32) {
        if self.live[&index].count(0) == 0 {
            self.live.remove(&index);
        }
    }

    fn took(&mut self, answer: &str, size: u64, fill: u8) -> u32 {
        let numbers: Vec<u64> = answer.split(' ').map(|word| word.parse().expect(answer)).collect();
        let (handle, index) = (numbers[0], numbers[1] as u32);
        assert_eq!(numbers[2], size);
        assert!((index as usize) < CAPACITY);
        assert!(!self.live.contains_key(&index), "slot {index} was given to two owners");
        assert!(!self.handles.contains(&handle), "handle {handle:#x} came twice");
        self.handles.push(handle);
        self.used[index as usize] = true;
        self.live.insert(index, Live { handle, size, fill, ..Live::default() });
        index
    }

    fn joined(&mut self, process: usize, answer: Answer, index: u32) {
        let live = self.live.get_mut(&index).expect("a live one");
        assert_eq!(answer, Ok(format!("{} {index} {}", live.handle, live.size)));
        live.holds[process] += 1;
    }

    fn step(&mut self, process: usize, step: &Step) {
        match *step {
            Step::Acquire { size } => {
                self.fills = self.fills.wrapping_add(1);
                let fill = self.fills;
                let answer = self.ask(process, &format!("acquire {size} {fill}"));
                if self.live.len() == CAPACITY {
                    assert_eq!(answer, wanted("timeout"));
                    return;
                }
                let index = self.took(&answer.expect("there are free slots"), size, fill);
                self.live.get_mut(&index).expect("just made").holds[process] = 1;
            }
            Step::Get { which, writable } => {
                let Some(handle) = self.a_handle(which) else { return };
                let index = self.index_of(handle);
                let fill = index.map_or(0, |index| self.live[&index].fill);
                let command = format!("get {handle} {} {fill}", u8::from(writable));
                let answer = self.ask(process, &command);
                match index {
                    Some(index) => self.joined(process, answer, index),
                    None => assert_eq!(answer, wanted("not found")),
                }
            }
            Step::GetIndex { index } => {
                let fill = self.live.get(&index).map_or(0, |live| live.fill);
                let answer = self.ask(process, &format!("get_index {index} {fill}"));
                if self.live.contains_key(&index) {
                    self.joined(process, answer, index);
                } else {
                    assert_eq!(answer, wanted(Self::absent(index)));
                }
            }
            Step::Release { which } => self.give_back(process, which, "release"),
            Step::Forget { which } => self.give_back(process, which, "forget"),
            Step::AddRef { index } => {
                let answer = self.ask(process, &format!("add_ref {index}"));
                let Some(live) = self.live.get_mut(&index) else {
                    assert_eq!(answer, wanted(Self::absent(index)));
                    return;
                };
                live.refs[process] += 1;
                assert_eq!(answer, Ok(live.count(process).to_string()));
            }
            Step::ReleaseRef { index } => {
                let answer = self.ask(process, &format!("release_ref {index}"));
                let Some(live) = self.live.get_mut(&index) else {
                    assert_eq!(answer, wanted(Self::absent(index)));
                    return;
                };
                if live.refs[process] > 0 {
                    live.refs[process] -= 1;
                } else if live.pins > 0 {
                    live.pins -= 1;
                } else {
                    assert_eq!(answer, wanted("not found"));
                    return;
                }
                assert_eq!(answer, Ok(live.count(process).to_string()));
                self.drop_if_free(index);
            }
            Step::SetRefCount { index, count } => {
                let answer = self.ask(process, &format!("set_ref_count {index} {count}"));
                let Some(live) = self.live.get_mut(&index) else {
                    assert_eq!(answer, wanted(Self::absent(index)));
                    return;
                };
                match count.checked_sub(live.held(process)) {
                    None => assert_eq!(answer, wanted("invalid")),
                    Some(pins) if pins > MOST_PINS => assert_eq!(answer, wanted("overflow")),
                    Some(pins) => {
                        assert_eq!(answer, Ok(String::new()));
                        live.pins = pins;
                        self.drop_if_free(index);
                    }
                }
            }
            Step::Preallocate { size, count } => {
                let answer = self.ask(process, &format!("preallocate {size} {count}"));
                if count > CAPACITY - self.live.len() {
                    assert_eq!(answer, wanted("timeout"));
                    // It had taken all there were before it gave them back.
                    self.used = [true; CAPACITY];
                    return;
                }
                let answer = answer.expect("there are free slots");
                for index in answer.split(' ').filter(|word| !word.is_empty()) {
                    self.preallocated(process, index.parse().expect("an index"), size);
                }
            }
            Step::Send { which } => {
                let Some(handle) = self.a_handle(which) else { return };
                let index = self.index_of(handle);
                let Some(index) = index.filter(|index| self.live[index].holds[process] > 0) else {
                    return;
                };
                let ticket = self.ask(process, &format!("send {handle}")).expect("a ticket");
                let ticket = ticket.parse().expect("a number");
                self.live.get_mut(&index).expect("live").tickets[process].push(ticket);
            }
            Step::Claim { which } => {
                let of = |(&index, live): (&u32, &Live)| {
                    let of_process = |sender: usize| {
                        live.tickets[sender].iter().map(move |&ticket| (index, sender, ticket))
                    };
                    [0, 1].into_iter().flat_map(of_process).collect::<Vec<_>>()
                };
                let tickets: Vec<_> = self.live.iter().flat_map(of).collect();
                if tickets.is_empty() {
                    return;
                }
                let (index, sender, ticket) = tickets[which % tickets.len()];
                let live = &self.live[&index];
                let command = format!("claim {} {ticket} {}", live.handle, live.fill);
                let answer = self.ask(process, &command);
                self.joined(process, answer, index);
                let live = self.live.get_mut(&index).expect("live");
                live.tickets[sender].retain(|&other| other != ticket);
            }
            Step::Trim => assert_eq!(self.ask(process, "trim"), Ok(String::new())),
            Step::Reclaim => assert_eq!(self.ask(process, "reclaim"), Ok("0".into())),
        }
    }

    fn give_back(&mut self, process: usize, which: usize, how: &str) {
        let Some(handle) = self.a_handle(which) else { return };
        let index = self.index_of(handle);
        let answer = self.ask(process, &format!("{how} {handle}"));
        let live = index.and_then(|index| self.live.get_mut(&index));
        let Some(live) = live.filter(|live| live.holds[process] > 0) else {
            assert_eq!(answer, wanted("not found"));
            return;
        };
        if how == "forget" && live.pins == MOST_PINS {
            assert_eq!(answer, wanted("overflow"));
            return;
        }
        assert_eq!(answer, Ok(String::new()));
        live.holds[process] -= 1;
        live.pins += u64::from(how == "forget");
        self.drop_if_free(index.expect("it was live"));
    }

    /// A preallocated buffer, whose content is not known, is written by whoever has it.
    fn preallocated(&mut self, process: usize, index: u32, size: u64) {
        let pool = &self.first.pool;
        let buffer = pool.get_index(index, true).expect("it was preallocated");
        self.fills = self.fills.wrapping_add(1);
        // SAFETY: nobody else knows of it.
        unsafe { buffer.data.write_bytes(self.fills, buffer.size) };
        let answer = format!("{} {index} {}", buffer.handle, buffer.size);
        pool.release(buffer.handle).expect("it was just got");
        self.took(&answer, size, self.fills);
        self.live.get_mut(&index).expect("just made").refs[process] = 1;
    }

    /// All counts are what they should be, and all content is what was written.
    fn check(&mut self) {
        for process in [0, 1] {
            for index in 0..CAPACITY as u32 {
                let answer = self.ask(process, &format!("ref_count {index}"));
                let count = match self.live.get(&index) {
                    Some(live) => Ok(live.count(process).to_string()),
                    None if self.used[index as usize] => Ok("0".into()),
                    None => wanted("not found"),
                };
                assert_eq!(answer, count, "slot {index}: {:?}", self.live.get(&index));
            }
        }
        let all: Vec<_> = self.live.values().map(|live| (live.handle, live.fill)).collect();
        for (handle, fill) in all {
            for process in [0, 1] {
                assert_eq!(self.ask(process, &format!("check {handle} {fill}")), Ok("".into()));
            }
        }
        let survey = self.first.pool.survey().expect("a survey");
        let seen: Vec<u64> = survey.buffers.iter().map(|buffer| buffer.handle).collect();
        let wanted: Vec<u64> = self.live.values().map(|live| live.handle).collect();
        assert_eq!(seen, wanted);
        assert_eq!(survey.stats.pins, self.live.values().map(|live| live.pins).sum::<u64>());
        let tickets = |live: &Live| live.tickets.iter().map(Vec::len).sum::<usize>();
        assert_eq!(survey.stats.in_flight, self.live.values().map(tickets).sum::<usize>() as u64);
    }
}

static SECOND_PROCESS: Mutex<Option<Second>> = Mutex::new(None);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn two_processes_behave_like_a_table_of_counts(
        steps in prop::collection::vec((0usize..2, step()), 1..80)
    ) {
        let mut second = SECOND_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was in the middle of a failed case is not used again.
        let mut process = second.take().unwrap_or_else(Second::start);
        let name = unique_name();
        let pool = Pool::create(&name, CAPACITY, 4 * MEGABYTE, 0o600).expect("a pool");
        process.answer(&format!("open {name}")).expect("it opens");
        let mut model = Model {
            first: Hands { pool, held: Vec::new() },
            second: &mut process,
            live: BTreeMap::new(),
            handles: Vec::new(),
            used: [false; CAPACITY],
            fills: 0,
        };
        for (process, step) in &steps {
            model.step(*process, step);
            model.check();
        }
        drop(model);
        process.answer("close").expect("it closes");
        prop_assert!(matches!(Pool::open(&name, false), Err(Error::Io { .. })), "it is still there");
        *second = Some(process);
    }

    /// Where memory is short, buffers of all sizes change places; they never overlap.
    #[test]
    fn buffers_do_not_overlap_where_memory_is_short(
        steps in prop::collection::vec((any::<bool>(), any::<usize>(), 1u64..700_000), 1..120)
    ) {
        let budget = MEGABYTE;
        let pool = Pool::create_anonymous(32, budget).expect("a pool");
        let mut held: Vec<(Buffer, u8)> = Vec::new();
        for (i, (acquires, which, size)) in steps.into_iter().enumerate() {
            if acquires {
                // Small ones as often as large ones.
                let size = if which % 2 == 0 { size } else { size % 3000 + 1 };
                match pool.acquire(size as usize, Some(Duration::ZERO)) {
                    Ok(buffer) => {
                        prop_assert_eq!(buffer.size as u64, size);
                        // SAFETY: ours alone.
                        unsafe { buffer.data.write_bytes(i as u8, buffer.size) };
                        held.push((buffer, i as u8));
                    }
                    Err(Error::Timeout(_)) => prop_assert!(!held.is_empty(), "it was all free"),
                    Err(error) => prop_assert!(false, "{error}"),
                }
            } else if !held.is_empty() {
                let (buffer, _) = held.swap_remove(which % held.len());
                pool.release(buffer.handle).expect("it is held");
            }
            for (buffer, fill) in &held {
                prop_assert!(Hands::bytes(buffer).iter().all(|byte| byte == fill));
            }
        }
        for (buffer, _) in held {
            pool.release(buffer.handle).expect("it is held");
        }
        let all = pool.acquire(budget as usize, Some(Duration::ZERO)).expect("all of it");
        prop_assert_eq!(all.size as u64, budget);
    }
}
