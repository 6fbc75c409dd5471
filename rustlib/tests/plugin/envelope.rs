//! The payload that is cut out, against a parser that reads every byte.

use gmemx::plugin::envelope::payload;
use proptest::prelude::*;

const HEAD: &str = r#"{"status":"success","payload":"#;

/// The naive parser: how much of the text a value takes, by the grammar of JSON.
fn value(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string(text),
        b'{' => list(text, b'}', |text| {
            let key = string(text)?;
            let colon = key + blank(&text[key..]);
            (text.get(colon) == Some(&b':')).then_some(())?;
            let start = colon + 1 + blank(&text[colon + 1..]);
            Some(start + value(&text[start..])?)
        }),
        b'[' => list(text, b']', value),
        b't' => text.starts_with(b"true").then_some(4),
        b'f' => text.starts_with(b"false").then_some(5),
        b'n' => text.starts_with(b"null").then_some(4),
        _ => number(text),
    }
}

fn blank(text: &[u8]) -> usize {
    text.iter().take_while(|c| b" \t\r\n".contains(c)).count()
}

fn string(text: &[u8]) -> Option<usize> {
    let mut at = text.starts_with(b"\"").then_some(1)?;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match text.get(at + 1)? {
                b'u' => {
                    let digits = text.get(at + 2..at + 6)?;
                    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                    at += 6;
                }
                c => {
                    b"\"\\/bfnrt".contains(c).then_some(())?;
                    at += 2;
                }
            },
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

fn list(text: &[u8], end: u8, item: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut at = 1 + blank(&text[1..]);
    if text.get(at) == Some(&end) {
        return Some(at + 1);
    }
    loop {
        at += item(text.get(at..)?)?;
        at += blank(&text[at..]);
        match text.get(at)? {
            b',' => at += 1 + blank(&text[at + 1..]),
            c => return (*c == end).then_some(at + 1),
        }
    }
}

fn number(text: &[u8]) -> Option<usize> {
    let digits = |at: usize| text[at..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut at = usize::from(text.starts_with(b"-"));
    let whole = digits(at);
    (whole > 0 && (whole == 1 || text[at] != b'0')).then_some(())?;
    at += whole;
    if text.get(at) == Some(&b'.') {
        let behind = digits(at + 1);
        (behind > 0).then_some(())?;
        at += 1 + behind;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let behind = digits(at + 1 + sign);
        (behind > 0).then_some(())?;
        at += 1 + sign + behind;
    }
    Some(at)
}

fn naive(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(HEAD.as_bytes())?;
    let n = value(rest)?;
    (&rest[n..] == b"}").then_some(&rest[..n])
}

fn is_json(text: &[u8]) -> bool {
    let start = blank(text);
    value(&text[start..]).is_some_and(|n| {
        let behind = start + n;
        behind + blank(&text[behind..]) == text.len()
    })
}

fn json() -> impl Strategy<Value = String> {
    let text = prop::collection::vec(
        prop::sample::select(vec![
            "a",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\\\"",
            "\\\\",
            "\\u0041",
            "é",
            " ",
            "a long run of letters, longer than any step",
        ]),
        0..12,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "0", "-1.5e+3", "12", "[]", "{ }"])
            .prop_map(str::to_owned),
        text.clone(),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let pair = (text.clone(), inner.clone()).prop_map(|(key, value)| format!("{key} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(pair, 0..6).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn of_a_valid_answer_exactly_the_payload(
        payload_text in json(),
        tail in prop::sample::select(vec![
            "}", "", "}}", "} ", " }", ",\"id\":7}", ",\"a\":{}}", "]}",
        ]),
    ) {
        let text = format!("{HEAD}{payload_text}{tail}");
        prop_assert_eq!(payload(text.as_bytes()), naive(text.as_bytes()));
        if tail == "}" {
            prop_assert_eq!(payload(text.as_bytes()), Some(payload_text.as_bytes()));
        }
    }

    #[test]
    fn of_a_damaged_answer_nothing_that_was_whole(
        payload_text in json(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut text = format!("{HEAD}{payload_text}}}").into_bytes();
        for (place, byte) in places {
            // Most of them behind the head.
            let n = text.len();
            let at = if whole { place.index(n) } else { HEAD.len() + place.index(n - HEAD.len()) };
            text[at] = byte;
        }
        text.truncate(if whole { text.len() } else { cut.index(text.len() + 1) });
        match (payload(&text), naive(&text)) {
            (ours, Some(theirs)) => prop_assert_eq!(ours, Some(theirs)),
            // What is not valid stays so: whoever parses the payload finds out.
            (Some(ours), None) => prop_assert!(!is_json(&text) && !is_json(ours)),
            (None, None) => {}
        }
    }
}
