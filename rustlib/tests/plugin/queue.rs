//! Calls made by workers: their results, their limits, their ends.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use gmemx::plugin::queue::{PluginQueue, Request};

use super::*;

fn echo(bytes: &[u8]) -> Request {
    Request::raw(ECHO, bytes).unwrap()
}

fn nap(time: Duration) -> Request {
    Request::raw(SLEEP, &(time.as_micros() as u32).to_ne_bytes()).unwrap()
}

/// Whether there is something to take, after at most so long.
fn is_readable(queue: &PluginQueue, time: Duration) -> bool {
    let mut asked = libc::pollfd { fd: queue.descriptor(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one that is there.
    unsafe { libc::poll(&raw mut asked, 1, time.as_millis() as i32) == 1 }
}

fn take(queue: &PluginQueue, most: usize) -> Vec<(u64, Result<PluginResponse>)> {
    let mut all = Vec::new();
    queue.take(most, |token, outcome| all.push((token, outcome)));
    all
}

fn take_all(queue: &PluginQueue, n: usize) -> Vec<(u64, Result<PluginResponse>)> {
    let mut all = Vec::new();
    while all.len() < n {
        assert!(is_readable(queue, Duration::from_secs(20)), "{} of {n}", all.len());
        all.extend(take(queue, 64));
    }
    assert!(!is_readable(queue, Duration::ZERO));
    all
}

#[test]
fn each_call_is_answered_under_its_token() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    let queue = PluginQueue::new(&plugin, 4, 10_000).unwrap();
    assert!(!is_readable(&queue, Duration::ZERO) && take(&queue, 8).is_empty());
    for token in 0..1000u64 {
        queue.submit(token, echo(&token.to_ne_bytes())).unwrap();
    }
    queue.submit(1000, Request::tagged(c"echo", b"[1]").unwrap()).unwrap();
    queue.submit(1001, Request::tagged(c"fail:7", b"").unwrap()).unwrap();
    queue.submit(1002, echo(b"")).unwrap();
    let all = take_all(&queue, 1003);
    let tokens: BTreeSet<u64> = all.iter().map(|(token, _)| *token).collect();
    assert_eq!(tokens.len(), 1003);
    for (token, outcome) in &all {
        let response = outcome.as_ref().unwrap();
        match token {
            1000 => assert_eq!(response.bytes(), b"[1]"),
            1001 => assert_eq!(response.error_code, 7),
            1002 => assert_eq!(response.bytes(), b""),
            _ => assert_eq!(response.bytes(), token.to_ne_bytes()),
        }
    }
    drop((all, queue, plugin));
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn slow_calls_run_side_by_side_and_no_more_than_allowed() {
    let plugin = load();
    let queue = PluginQueue::new(&plugin, 16, 100).unwrap();
    for token in 0..16 {
        queue.submit(token, nap(Duration::from_secs(1))).unwrap();
    }
    eventually(|| plugin.in_flight() == 16);
    drop(take_all(&queue, 16));
    let queue = PluginQueue::new(&plugin, 3, 100).unwrap();
    for token in 0..9 {
        queue.submit(token, nap(Duration::from_millis(20))).unwrap();
    }
    eventually(|| plugin.in_flight() == 3);
    drop(take_all(&queue, 9));
    let response = call(&plugin, "running", "").unwrap();
    assert!(String::from_utf8_lossy(response.bytes()).contains("\"most\":16"));
}

#[test]
fn where_it_is_full_it_says_so() {
    let plugin = load();
    let queue = PluginQueue::new(&plugin, 1, 2).unwrap();
    queue.submit(0, nap(Duration::from_millis(300))).unwrap();
    eventually(|| plugin.in_flight() == 1);
    queue.submit(1, echo(b"1")).unwrap();
    queue.submit(2, echo(b"2")).unwrap();
    let full = queue.submit(3, echo(b"3"));
    assert!(matches!(full, Err(Error::Timeout(text)) if text == "2 calls wait already"));
    // Abandoned are one that waits, the one that runs, and one that is done.
    assert!(queue.cancel(1) && !queue.cancel(0) && !queue.cancel(77));
    queue.submit(4, echo(b"4")).unwrap();
    let all = take_all(&queue, 2);
    assert_eq!(all.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2, 4]);
    queue.submit(5, echo(b"5")).unwrap();
    assert!(is_readable(&queue, Duration::from_secs(20)));
    assert!(!queue.cancel(5) && !is_readable(&queue, Duration::ZERO));
    for (threads, capacity) in [(0, 1), (1, 0)] {
        let refused = PluginQueue::new(&plugin, threads, capacity);
        assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    }
}

#[test]
fn it_may_outlive_its_plugin_and_be_freed_with_calls_in_flight() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    let queue = PluginQueue::new(&plugin, 1, 10).unwrap();
    queue.submit(0, nap(Duration::from_millis(100))).unwrap();
    queue.submit(1, echo(b"1")).unwrap();
    eventually(|| plugin.in_flight() == 1);
    drop(plugin);
    assert_eq!(refusal(queue.submit(2, echo(b"2"))).0, 1);
    let mut all = take_all(&queue, 2);
    // The one that ran came to its end; the one that waited was refused.
    assert_eq!(refusal(all.pop().unwrap().1).0, 1);
    assert!(all.pop().unwrap().1.is_ok());
    assert_eq!(counters.shutdowns(), 1);

    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    let queue = PluginQueue::new(&plugin, 2, 10).unwrap();
    for token in 0..5 {
        queue.submit(token, nap(Duration::from_millis(50))).unwrap();
    }
    eventually(|| plugin.in_flight() > 0);
    drop(queue);
    assert!(plugin.shut_down(None).unwrap());
    eventually(|| counters.faults() == [0; 4]);
}

/// Submitted, abandoned, taken and freed from several threads at once.
#[test]
fn whatever_is_done_to_it_at_once_each_answer_is_freed_once() {
    let counters = Counters::new();
    let path = faults(&[]);
    for _ in 0..30 {
        let plugin = load_with(&path, &counters.config()).unwrap();
        let queue = PluginQueue::new(&plugin, 3, 50).unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for part in 0..2u64 {
                let (queue, over) = (&queue, &over);
                scope.spawn(move || {
                    for i in 0..400u64 {
                        let token = part * 1000 + i;
                        let request = if i % 7 == 0 {
                            nap(Duration::from_micros(50))
                        } else {
                            echo(&token.to_ne_bytes())
                        };
                        match queue.submit(token, request) {
                            Ok(()) | Err(Error::Timeout(_) | Error::Plugin { code: 1, .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                        if i % 3 == 0 {
                            queue.cancel(token - (token % 5).min(i));
                        }
                    }
                    over.store(true, Ordering::Relaxed);
                });
            }
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    is_readable(&queue, Duration::from_millis(1));
                    drop(take(&queue, 16));
                }
            });
        });
        // Some are still waiting, running or done.
        drop(queue);
        assert!(plugin.shut_down(None).unwrap());
    }
    eventually(|| counters.faults() == [0; 4]);
}
