//! What a plugin answers, by tag and by number.

use std::path::Path;

use super::*;

#[test]
fn a_payload_comes_without_its_envelope() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    let response = call(&plugin, "echo", r#"{"a": [1, "}"]}"#).unwrap();
    assert_eq!((response.bytes(), response.flags), (br#"{"a": [1, "}"]}"#.as_slice(), 1));
    for whole in ["", "nonsense", r#"{"status":"success","payload":1,"more":2}"#, "{}"] {
        let response = call(&plugin, "verbatim:0", whole).unwrap();
        assert_eq!((response.bytes(), response.flags), (whole.as_bytes(), 0));
    }
    assert_eq!(call(&plugin, "null:0", "").unwrap().bytes(), b"");
    assert_eq!(call(&plugin, "null-len:0", "").unwrap().bytes(), b"");
    drop((response, plugin));
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn errors_have_their_number_and_their_text() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    let (code, text) = refusal(call(&plugin, "fail:7", "{}"));
    assert_eq!(code, 7);
    assert!(text.contains(r#""error_message":"wanted failure""#));
    assert_eq!(refusal(call(&plugin, "fail-text:9", "")), (9, "wanted failure".into()));
    assert_eq!(refusal(call(&plugin, "no such", "")).0, 6);
    assert_eq!(refusal(call(&plugin, "verbatim:4", "caf\u{e9}")), (4, "caf\u{e9}".into()));
    for nothing in ["null:5", "null-len:5", "empty:5"] {
        let text = "the plugin gave error 5 without a text".to_string();
        assert_eq!(refusal(call(&plugin, nothing, "")), (5, text));
    }
    let with_code = |id, text: &[u8]| raw(&plugin, id, &[&7u32.to_ne_bytes(), text].concat());
    // One with a NUL that is counted, one without.
    assert_eq!(refusal(with_code(6, b"broken")), (7, "broken".into()));
    assert_eq!(refusal(with_code(7, b"broken")), (7, "broken".into()));
    assert_eq!(refusal(with_code(7, b"caf\xe9")), (7, "caf\u{fffd}".into()));
    assert_eq!(refusal(with_code(8, b"")).0, 7);
    assert_eq!(refusal(with_code(18, b"")).0, 7);
    assert_eq!(refusal(raw(&plugin, 99, b"")).0, 6);
    drop(plugin);
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn bytes_come_back_as_they_are() {
    let counters = Counters::new();
    let plugin = load_with(&faults(&[]), &counters.config()).unwrap();
    assert!(plugin.has_binary_transport());
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for n in [0, 1, 7, 4096, all.len()] {
        let response = raw(&plugin, ECHO, &all[..n]).unwrap();
        assert_eq!((response.bytes(), response.flags), (&all[..n], 0));
    }
    for nothing in [9, 10, 14] {
        assert_eq!(raw(&plugin, nothing, b"").unwrap().bytes(), b"");
    }
    // The request itself is seen, not a copy; one of no bytes is not NULL.
    let seen = |request: &[u8]| {
        let response = raw(&plugin, 13, request).unwrap();
        let (address, len) = response.bytes().split_at(8);
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
        (number(address), number(len))
    };
    assert_eq!(seen(&all), (all.as_ptr().addr() as u64, all.len() as u64));
    assert!(seen(b"").0 != 0 && seen(b"").1 == 0);
    drop(plugin);
    assert_eq!(counters.faults(), [0; 4]);
}

#[test]
fn without_its_functions_it_takes_no_binary_calls() {
    for lacking in ["-Dplugin_call_raw=absent", "-Drb_response_free=absent"] {
        let plugin = load_with(&faults(&[lacking]), "").unwrap();
        assert!(!plugin.has_binary_transport());
        let (code, text) = refusal(raw(&plugin, ECHO, b""));
        assert_eq!((code, text.as_str()), (12, "the plugin takes no binary calls"));
        assert!(call(&plugin, "echo", "1").is_ok());
    }
}

#[test]
fn what_is_no_plugin_is_refused() {
    let invalid = |path: &Path| match load_with(path, "").err() {
        Some(Error::InvalidArgument(text)) => text,
        other => panic!("{other:?}"),
    };
    for name in [
        "plugin_create",
        "plugin_init",
        "plugin_call",
        "plugin_free_buffer",
        "plugin_shutdown",
        "plugin_set_log_level",
        "plugin_get_state",
        "plugin_get_rejected_count",
    ] {
        let path = faults(&[&format!("-D{name}=absent")]);
        let wanted = format!("{} is no plugin: it has no function {name}", path.display());
        // The second time it is known, and not loaded again.
        assert_eq!((invalid(&path), invalid(&path)), (wanted.clone(), wanted));
    }
    assert!(invalid(&faults(&["-DNOTHING"])).ends_with("no function plugin_free_buffer"));
    let text = unique("text.so");
    fs::write(&text, "no library").unwrap();
    let reason = invalid(&text);
    assert!(reason.contains("cannot be loaded") && !reason.contains("/proc"), "{reason}");
    fs::write(&text, "").unwrap();
    assert!(invalid(&text).contains("cannot be loaded"));
    // Its header is there, what it tells of is not: touching that would be a SIGBUS.
    let whole = fs::read(faults(&[])).unwrap();
    for n in [63, 64, 300, 3000, whole.len() / 2] {
        fs::write(&text, &whole[..n]).unwrap();
        assert!(invalid(&text).contains("cannot be loaded"));
    }
    assert!(invalid(text.parent().unwrap()).ends_with("is no file"));
    assert!(matches!(load_with(&unique("none"), ""), Err(Error::Io { .. })));
}
