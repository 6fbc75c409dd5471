//! How plugins begin and end: refusals, copies that serve again, calls in flight, forks.

use std::env;

use super::*;

fn with_word(word: &str) -> String {
    format!("{{\"data\": [\"{word}\"]}}")
}

#[test]
fn one_that_does_not_start_says_so_and_may_be_tried_again() {
    let path = faults(&["-DALWAYS=\"create-null\""]);
    let text = format!("{} could not be created", path.display());
    assert_eq!(refusal(load_with(&path, "")), (2, text));
    let path = faults(&[]);
    for logs in [false, true] {
        let started = Plugin::load(&path, with_word("init-null").as_bytes(), logs);
        assert_eq!(refusal(started), (2, format!("{} did not start", path.display())));
    }
    assert!(call(&load_with(&path, "").unwrap(), "echo", "1").is_ok());
    let path = faults(&["-DCREATE_WITH_CONFIG"]);
    assert_eq!(refusal(load_with(&path, "no JSON")).0, 4);
    assert!(load_with(&path, "{}").is_ok() && load_with(&path, "").is_ok());
}

#[test]
fn the_configuration_arrives() {
    for flags in [&[][..], &["-DCREATE_WITH_CONFIG"]] {
        let path = faults(flags);
        let config = r#"{"log_level": "debug", "data": 7}"#;
        let plugin = load_with(&path, config).unwrap();
        assert_eq!(call(&plugin, "config", "").unwrap().bytes(), config.as_bytes());
        assert_eq!(call(&load_with(&path, "").unwrap(), "config", "").unwrap().bytes(), b"null");
    }
}

/// How many instances the copy has seen go.
fn shutdowns(plugin: &Instance) -> u64 {
    let response = call(plugin, "counts", "").unwrap();
    let text = String::from_utf8_lossy(response.bytes()).into_owned();
    let behind = text.split("\"shutdowns\":").nth(1).unwrap();
    behind.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn a_copy_serves_again_only_after_a_clean_end() {
    let path = faults(&[]);
    let (first, second) = (load_with(&path, "").unwrap(), load_with(&path, "").unwrap());
    assert!(first.shut_down(None).unwrap());
    // Its sibling is not touched by that.
    assert_eq!((first.state(), second.state(), shutdowns(&second)), (4, 2, 0));
    let third = load_with(&path, "").unwrap();
    assert_eq!(shutdowns(&third), 1);
    assert_eq!((first.state(), first.shut_down(None).unwrap()), (4, true));

    let path = faults(&[]);
    let unclean = load_with(&path, &with_word("shutdown-false")).unwrap();
    assert!(!unclean.shut_down(None).unwrap());
    assert!(unclean.shut_down(None).unwrap());
    assert_eq!(shutdowns(&load_with(&path, "").unwrap()), 0);
}

#[test]
fn one_that_starts_only_once_gets_a_fresh_copy() {
    let path = faults(&["-DALWAYS=\"second-null\""]);
    for _ in 0..3 {
        assert!(call(&load_with(&path, "").unwrap(), "echo", "1").is_ok());
    }
}

#[test]
fn another_file_of_the_same_name_is_another_plugin() {
    let path = faults(&[]);
    assert!(refusal(call(&load_with(&path, "").unwrap(), "none", "")).0 == 6);
    fs::copy(faults(&["-DALWAYS=\"unknown-7\""]), &path).unwrap();
    assert!(refusal(call(&load_with(&path, "").unwrap(), "none", "")).0 == 7);
}

#[test]
fn what_it_rejected_is_known_also_afterwards() {
    let plugin = load_with(&faults(&[]), r#"{"max_concurrent_ops": 1}"#).unwrap();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| sleep(&plugin, Duration::from_millis(200)).map(drop));
        eventually(|| plugin.in_flight() == 1);
        thread::sleep(Duration::from_millis(20));
        assert_eq!(refusal(raw(&plugin, ECHO, b"")).0, 13);
        sleeper.join().unwrap().unwrap();
    });
    assert_eq!(plugin.rejected_count(), 1);
    assert!(plugin.shut_down(None).unwrap());
    assert_eq!((plugin.rejected_count(), plugin.in_flight()), (1, 0));
}

#[test]
fn a_shutdown_waits_for_calls_in_flight_or_says_that_they_are_there() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| sleep(&plugin, Duration::from_millis(300)).map(drop));
        eventually(|| plugin.in_flight() == 1);
        let over = plugin.shut_down(Some(Duration::from_millis(20)));
        assert!(matches!(over, Err(Error::Timeout(text)) if text.starts_with("1 call is still")));
        assert_eq!(refusal(call(&plugin, "echo", "1")), (1, "the plugin is shut down".into()));
        assert_eq!(refusal(plugin.set_log_level(1)).0, 1);
        assert_eq!((plugin.state(), counters.shutdowns()), (3, 0));
        assert!(plugin.shut_down(Some(Duration::from_secs(20))).unwrap());
        sleeper.join().unwrap().unwrap();
    });
    assert_eq!((plugin.state(), plugin.shut_down(None).unwrap()), (4, true));
    drop(plugin);
    assert_eq!(counters.shutdowns(), 1);
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn many_may_shut_it_down_at_once() {
    let counters = Counters::new();
    let path = faults(&[]);
    for round in 0..50 {
        let plugin = load_with(&path, &counters.config()).unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while call(&plugin, "echo", "1").is_ok() {});
            }
            for _ in 0..2 {
                scope.spawn(|| assert!(plugin.shut_down(None).unwrap()));
            }
        });
        drop(plugin);
        assert_eq!(counters.shutdowns(), round + 1);
    }
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn freed_with_calls_in_flight_the_last_one_ends_it() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    let (first, second) = (plugin.enter().unwrap(), plugin.enter().unwrap());
    drop(plugin);
    let response = first.call(c"echo", b"1");
    drop(first);
    assert_eq!(counters.shutdowns(), 0);
    assert_eq!(second.raw().unwrap().call(ECHO, b"abc").bytes(), b"abc");
    drop(second);
    assert_eq!(counters.shutdowns(), 1);
    // Its answers live on.
    assert_eq!(response.bytes(), b"1");
    drop(response);
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn a_forked_child_leaves_it_alone() {
    let counters = Counters::new();
    let path = faults(&[]);
    let plugin = Plugin::load(&path, counters.config().as_bytes(), true).unwrap();
    let response = call(&plugin, "echo", "1").unwrap();
    // SAFETY: the child does a few things and ends without running anything of its parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let (code, text) = refusal(call(&plugin, "echo", "1"));
        let refused = (code == 1 && text.contains("forked"))
            && plugin.shut_down(None).is_err()
            && plugin.set_log_level(1).is_err()
            && (plugin.state(), plugin.rejected_count()) == (255, 0)
            && plugin.next_log().is_none();
        drop((plugin, response));
        // One that is loaded here is the child's.
        let works = load_with(&path, "").is_ok_and(|own| {
            call(&own, "echo", "1").is_ok() && shutdowns(&own) == 0 && own.state() == 2
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(if refused && works { 0 } else { 1 }) };
    }
    let mut status = 1;
    // SAFETY: our own child.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    assert_eq!(counters.shutdowns(), 0);
    assert!(call(&plugin, "echo", "1").is_ok() && plugin.state() == 2);
    drop((response, plugin));
    assert_eq!(counters.shutdowns(), 1);
    assert_eq!(counters.faults(), [0; 4]);
}

fn lines(file: &str) -> usize {
    fs::read_to_string(file).unwrap().lines().count()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Alone in a process, since other tests load and open things too.
#[test]
fn ten_thousand_cycles_leave_nothing_behind() {
    const ALONE: &str = "GMEMX_TEST_ALONE";
    if env::var_os(ALONE).is_none() {
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "life::ten_thousand_cycles_leave_nothing_behind"])
            .env(ALONE, "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let path = faults(&[]);
    let no_plugin = faults(&["-DNOTHING"]);
    let init_null = with_word("init-null");
    let cycle = |i: usize| {
        let plugin = Plugin::load(&path, b"", i.is_multiple_of(2)).unwrap();
        call(&plugin, "log:1", "").unwrap();
        raw(&plugin, ECHO, b"abc").unwrap();
        if i.is_multiple_of(3) {
            assert!(plugin.shut_down(None).unwrap());
        }
        assert!(load_with(&path, &init_null).is_err() && load_with(&no_plugin, "").is_err());
    };
    (0..10).for_each(&cycle);
    let before = (descriptors(), lines("/proc/self/maps"));
    (0..10_000).for_each(&cycle);
    let after = (descriptors(), lines("/proc/self/maps"));
    assert!(after.0 <= before.0 && after.1 <= before.1 + 8, "{before:?} {after:?}");
}
