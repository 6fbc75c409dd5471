//! A plugin that adds, fails when asked to, and gives back what it is sent.

use gmemx_plugin::{Error, Level, Result, log, plugin};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize)]
struct Sum {
    result: i64,
}

fn add(_: &(), add: Add) -> Result<Sum> {
    let sum = add.a.checked_add(add.b);
    Ok(Sum {
        result: sum.ok_or_else(|| Error::handler("the sum does not fit in 64 bits"))?,
    })
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Serialize)]
struct Echo {
    message: String,
    length: usize,
}

/// Version, three bytes to spare, 256 of a message, its length; the answer repeats the length.
fn echo_struct(_: &(), request: &[u8]) -> Result<Vec<u8>> {
    let Ok(request) = <&[u8; 264]>::try_from(request) else {
        let text = format!("{} bytes, and not 264", request.len());
        return Err(Error::serialization(text));
    };
    let mut response = Vec::with_capacity(268);
    response.extend_from_slice(request);
    response.extend_from_slice(&request[260..]);
    Ok(response)
}

plugin! {
    json "math.add" => add;
    json "math.fail" => |_, _: Add| Err::<Sum, _>(Error::handler("it fails whatever it is asked"));
    json "math.panic" => |_, add: Add| -> Result<Sum> { panic!("{} and {}", add.a, add.b) };
    json "echo" => |_, Message { message }| {
        log!(Level::Debug, "an echo of {} bytes", message.len());
        Ok(Echo { length: message.len(), message })
    };
    raw 1 => echo_struct;
    raw 2 => |_, request| Ok(request.to_vec());
}
