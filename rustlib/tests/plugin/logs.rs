//! What plugins log, from any thread, at any time.

use gmemx::plugin::logs::{Message, set_delivering, wait, wake};

use super::*;

fn load_logging(path: &Path, config: &str) -> Plugin {
    Plugin::load(path, config.as_bytes(), true).expect("a plugin that logs")
}

fn messages(plugin: &Instance) -> Vec<Message> {
    std::iter::from_fn(|| plugin.next_log()).collect()
}

#[test]
fn messages_come_whole_and_in_order() {
    let plugin = load_logging(&faults(&[]), "");
    call(&plugin, "log:3", "").unwrap();
    call(&plugin, "log-text:4", "no NUL behind").unwrap();
    let all = messages(&plugin);
    let texts: Vec<_> = all.iter().map(|m| String::from_utf8_lossy(&m.text)).collect();
    assert_eq!(texts, ["message 0", "message 1", "message 2", "no NUL behind"]);
    assert_eq!((all[0].level, all[0].target.as_slice()), (2, b"faults".as_slice()));
    assert_eq!((all[3].level, all[3].target.as_slice()), (4, b"faults.text".as_slice()));
    call(&plugin, "log-wild", "").unwrap();
    let wild = messages(&plugin);
    assert_eq!(wild[0].text, b"before\0behind");
    assert_eq!(wild[1].text, b"caf\xe9");
    assert!(wild.iter().all(|m| m.text.len() <= 65536 && m.target.len() <= 65536));
    assert_eq!(plugin.dropped_logs(), 0);
}

#[test]
fn the_level_is_the_plugins_own() {
    let path = faults(&[]);
    let (quiet, loud) = (load_logging(&path, ""), load_logging(&path, ""));
    quiet.set_log_level(5).unwrap();
    loud.set_log_level(1).unwrap();
    for plugin in [&quiet, &loud] {
        call(plugin, "echo", "1").unwrap();
    }
    assert_eq!((messages(&quiet).len(), messages(&loud).len()), (0, 1));
    assert!(matches!(loud.set_log_level(6), Err(Error::InvalidArgument(_))));
}

#[test]
fn foreign_threads_may_log_and_what_finds_no_room_is_counted() {
    let plugin = load_logging(&faults(&[]), "");
    call(&plugin, "log-threads:8", "").unwrap();
    let mut n = 0;
    eventually(|| {
        n += messages(&plugin).len();
        n == 800
    });
    call(&plugin, "log:5000", "").unwrap();
    assert_eq!((messages(&plugin).len(), plugin.dropped_logs()), (4096, 904));
    // Few but long ones.
    let long = "x".repeat(1 << 16);
    (0..300).for_each(|_| drop(call(&plugin, "log-text:2", &long).unwrap()));
    assert_eq!((messages(&plugin).len(), plugin.dropped_logs()), (255, 904 + 45));
}

#[test]
fn who_waits_is_told() {
    let plugin = load_logging(&faults(&[]), "");
    let seen = wait(0, Duration::ZERO);
    let waiting = thread::spawn(move || wait(seen + 1000, Duration::from_secs(20)));
    // Others log too; so many are ours alone.
    call(&plugin, "log:1001", "").unwrap();
    assert!(waiting.join().unwrap() > seen + 1000);
    let seen = wait(0, Duration::ZERO);
    wake();
    assert!(wait(seen, Duration::from_secs(20)) > seen);
    let never = u64::MAX - 1;
    let begin = Instant::now();
    assert!(wait(never, Duration::from_millis(20)) < never);
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_call_from_a_log_callback_is_refused() {
    let plugin = load();
    set_delivering(true);
    let refused = refusal(call(&plugin, "echo", "1"));
    // Others are not in it.
    let other = thread::scope(|scope| scope.spawn(|| call(&plugin, "echo", "1").is_ok()).join());
    set_delivering(false);
    assert_eq!(refused, (1, "a plugin cannot be called from a log callback".into()));
    assert!(other.unwrap() && call(&plugin, "echo", "1").is_ok());
    assert_eq!(plugin.state(), 2);
}

#[test]
fn logs_outlive_their_plugin_and_reach_no_other() {
    let path = faults(&[]);
    let config = r#"{"data": {"faults": ["shutdown-logs"]}}"#;
    let plugin = load_logging(&path, config);
    assert!(plugin.shut_down(None).unwrap());
    assert!(!messages(&plugin).is_empty());
    // A thread of the first one goes on for a second, in the copy that the next one gets.
    for _ in 0..20 {
        let next = load_logging(&path, "");
        thread::sleep(Duration::from_millis(10));
        assert_eq!(messages(&next).len(), 0);
        assert!(next.shut_down(None).unwrap());
    }
}

#[test]
fn places_to_log_to_are_given_back() {
    let path = faults(&[]);
    for _ in 0..600 {
        let plugin = load_logging(&path, "");
        call(&plugin, "log:1", "").unwrap();
        assert_eq!(messages(&plugin).len(), 1);
    }
}
