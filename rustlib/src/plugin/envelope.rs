//! The payload out of the text `{"status":"success","payload":...}`, without parsing it.
//!
//! What is behind the payload is looked for, not supposed: the text may have more keys. So
//! the payload is walked through, which is quick, since strings are searched for their ends
//! only and what is between brackets for brackets.

use memchr::memchr2;

const HEAD: &[u8] = br#"{"status":"success","payload":"#;

/// The payload, where the text is exactly the head, one value and a brace. None also where it
/// is no JSON that begins like that; whether the payload is valid inside is not looked at.
#[inline]
pub fn payload(text: &[u8]) -> Option<&[u8]> {
    let value = text.strip_prefix(HEAD)?.strip_suffix(b"}")?;
    is_one_value(value).then_some(value)
}

fn is_one_value(value: &[u8]) -> bool {
    match value {
        [b'"', rest @ ..] => string(rest) == Some(rest.len()),
        [b'{' | b'[', ..] => nested(value) == Some(value.len()),
        [] => false,
        // A number or a word.
        _ => value.iter().all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.')),
    }
}

/// Where a string ends, of which the first quote is gone: behind the last one.
fn string(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the bracket ends that the text begins with: behind its partner.
fn nested(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0usize, 0usize);
    loop {
        at += next_mark(text.get(at..)?)?;
        match text[at] {
            b'"' => at += string(&text[at + 1..])?,
            b'{' | b'[' => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The first quote or bracket.
fn next_mark(text: &[u8]) -> Option<usize> {
    const STEP: usize = 32;
    // The two brackets that open, and the two that close, differ in one bit; nothing else has
    // the rest of theirs.
    let mark = |c: u8| c == b'"' || c | 0x20 == b'{' || c | 0x20 == b'}';
    let mut start = 0;
    // A loop without a way out becomes SIMD.
    for group in text.chunks_exact(STEP) {
        if group.iter().fold(false, |any, &c| any | mark(c)) {
            break;
        }
        start += STEP;
    }
    text[start..].iter().position(|&c| mark(c)).map(|at| start + at)
}
