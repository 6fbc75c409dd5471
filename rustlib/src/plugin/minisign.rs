//! Keys and signatures in the format of minisign: Ed25519 over a BLAKE2b hash of the data, in
//! text files of two and four lines.
//!
//! What is read comes from strangers, so every length and every field is checked before
//! anything is computed. Signing is deterministic, as Ed25519 is by itself: the same key, data
//! and comment always give the same text.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake2::digest::Digest;
use blake2::{Blake2b, Blake2b512, digest::consts::U32};
use ed25519_dalek::{Signature as Ed25519, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Ed25519 over the data; also what keys call themselves.
const PLAIN: [u8; 2] = *b"Ed";
/// Ed25519 over the BLAKE2b-512 hash of the data.
const HASHED: [u8; 2] = *b"ED";
const SCRYPT: [u8; 2] = *b"Sc";
const NO_PASSWORD: [u8; 2] = [0, 0];
const BLAKE2B: [u8; 2] = *b"B2";

const DAMAGED: &str = "this secret key is damaged: its parts do not fit together";

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";
/// minisign itself reads no longer ones.
const LONGEST_COMMENT: usize = 8000;

/// How much memory, and so how much time, a password takes; minisign's own choice.
pub const MEMORY: u64 = 1 << 30;
/// Below this scrypt protects nobody.
pub const LEAST_MEMORY: u64 = 1 << 20;
/// A key file may name any cost; this one takes a few seconds more than [`MEMORY`].
const MOST_WORK: u64 = 1 << 27;

/// What is wrong with a text, as the one sentence that callers see.
fn wrong<T>(sentence: impl Into<String>) -> Result<T> {
    Err(Error::InvalidArgument(sentence.into()))
}

/// The number that minisign prints for a key: its eight bytes, the last one first.
fn number(id: [u8; 8]) -> u64 {
    u64::from_le_bytes(id)
}

/// The bytes behind a line of base64, of which there must be `N`.
fn decoded<const N: usize>(line: &str, what: &str) -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    // Measured first: the decoder's own sentence would speak of its buffer.
    match base64::decoded_len_estimate(line.len()) {
        estimate if estimate > N + 2 => wrong(too_long(what, N)),
        _ => {
            let mut room = Zeroizing::new(vec![0; N + 2]);
            match STANDARD.decode_slice_unchecked(line, &mut room) {
                Ok(len) if len == N => {
                    bytes.copy_from_slice(&room[..N]);
                    Ok(bytes)
                }
                Ok(len) => wrong(format!("{what} must have {N} bytes in base64, but has {len}")),
                Err(_) => wrong(format!("{what} is not base64")),
            }
        }
    }
}

fn too_long(what: &str, wanted: usize) -> String {
    format!("{what} must have {wanted} bytes in base64, but has more")
}

/// The first `N` bytes, and the others.
fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = bytes.split_at(N);
    (first.try_into().expect("split_at gave N bytes"), rest)
}

/// The lines of a file that must have `N`, without the blank ones at its end.
fn lines<'a, const N: usize>(text: &'a str, what: &str) -> Result<[&'a str; N]> {
    let mut found = [""; N];
    let mut n = 0;
    for line in text.trim_end().split('\n') {
        if n == N {
            return wrong(format!("{what} must have {N} lines, but has more"));
        }
        found[n] = line.strip_suffix('\r').unwrap_or(line);
        n += 1;
    }
    if n < N {
        return wrong(format!("{what} must have {N} lines, but has {n}"));
    }
    Ok(found)
}

/// What follows the words that a line must begin with.
fn behind<'a>(line: &'a str, prefix: &str, what: &str) -> Result<&'a str> {
    match line.strip_prefix(prefix) {
        Some(rest) => Ok(rest),
        None => wrong(format!("{what} must have a line that begins with \"{prefix}\"")),
    }
}

/// A comment that fits on its line, and that no reader cuts.
fn checked_comment(comment: &str) -> Result<&str> {
    if comment.len() > LONGEST_COMMENT {
        let len = comment.len();
        return wrong(format!("a comment has at most {LONGEST_COMMENT} bytes, not {len}"));
    }
    if comment.contains(|c: char| c.is_control() && c != '\t') || comment.trim() != comment {
        return wrong(format!(
            "a comment is one line without blanks at its ends, which {comment:?} is not"
        ));
    }
    Ok(comment)
}

/// Who may have signed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    id: [u8; 8],
    key: VerifyingKey,
}

impl PublicKey {
    /// From the line that minisign prints, or from the two of its file.
    pub fn parse(text: &str) -> Result<PublicKey> {
        let what = "a public key";
        let line = match text.trim().split_once('\n') {
            None => text.trim(),
            Some(_) => {
                let [comment, line] = lines(text.trim_start(), what)?;
                behind(comment, UNTRUSTED, what)?;
                line.trim()
            }
        };
        let bytes = decoded::<42>(line, what)?;
        let (algorithm, rest) = split::<2>(&*bytes);
        let (id, key) = split::<8>(rest);
        if algorithm != PLAIN {
            return wrong("a public key must be of Ed25519, but this one is of another algorithm");
        }
        let (key, _) = split::<32>(key);
        match VerifyingKey::from_bytes(&key) {
            // With a weak key one signature fits many data. Of the encodings of a key one is right.
            Ok(key) if !key.is_weak() && VerifyingKey::from(key.to_edwards()) == key => {
                Ok(PublicKey { id, key })
            }
            _ => wrong("this public key is no point of the curve that anybody could sign for"),
        }
    }

    pub fn id(&self) -> u64 {
        number(self.id)
    }

    fn base64(&self) -> String {
        let mut bytes = [0; 42];
        bytes[..2].copy_from_slice(&PLAIN);
        bytes[2..10].copy_from_slice(&self.id);
        bytes[10..].copy_from_slice(self.key.as_bytes());
        STANDARD.encode(bytes)
    }

    /// As in a file of minisign; the second line alone is a public key, too.
    pub fn to_text(&self) -> String {
        format!("{UNTRUSTED}minisign public key {:016X}\n{}\n", self.id(), self.base64())
    }

    /// Whether this key signed these data, and the comment with them.
    pub fn verify(&self, data: &[u8], signature: &Signature) -> bool {
        if signature.id != self.id {
            return false;
        }
        let hash;
        let signed = if signature.hashed {
            hash = Blake2b512::digest(data);
            hash.as_slice()
        } else {
            data
        };
        // Strict: of the encodings of a signature only the one that signing gives.
        let fits = |message: &[u8], bytes| {
            self.key.verify_strict(message, &Ed25519::from_bytes(bytes)).is_ok()
        };
        fits(signed, &signature.data) && fits(&signature.commented(), &signature.comment_data)
    }
}

/// A signature and its comment, as read; whether they fit is `PublicKey::verify`'s to say.
#[derive(Clone, Debug)]
pub struct Signature {
    hashed: bool,
    id: [u8; 8],
    data: [u8; 64],
    comment: String,
    comment_data: [u8; 64],
}

impl Signature {
    /// From the four lines of a file of minisign.
    pub fn parse(text: &str) -> Result<Signature> {
        let what = "a signature";
        let [untrusted, first, trusted, second] = lines(text, what)?;
        behind(untrusted, UNTRUSTED, what)?;
        let comment = behind(trusted, TRUSTED, what)?;
        let bytes = decoded::<74>(first.trim(), what)?;
        let (algorithm, rest) = split::<2>(&*bytes);
        let (id, data) = split::<8>(rest);
        let hashed = match algorithm {
            HASHED => true,
            PLAIN => false,
            _ => {
                return wrong(
                    "a signature must be of Ed25519, but this one is of another algorithm",
                );
            }
        };
        Ok(Signature {
            hashed,
            id,
            data: split(data).0,
            comment: comment.to_owned(),
            comment_data: *decoded::<64>(second.trim(), "the signature of a trusted comment")?,
        })
    }

    /// Both are signed together, so that neither goes with another.
    fn commented(&self) -> Vec<u8> {
        [&self.data, self.comment.as_bytes()].concat()
    }

    fn to_text(&self, untrusted: &str) -> String {
        let mut bytes = [0; 74];
        bytes[..2].copy_from_slice(if self.hashed { &HASHED } else { &PLAIN });
        bytes[2..10].copy_from_slice(&self.id);
        bytes[10..].copy_from_slice(&self.data);
        format!(
            "{UNTRUSTED}{untrusted}\n{}\n{TRUSTED}{}\n{}\n",
            STANDARD.encode(bytes),
            self.comment,
            STANDARD.encode(self.comment_data)
        )
    }
}

/// What signs. Wiped from memory when dropped.
pub struct SecretKey {
    id: [u8; 8],
    key: SigningKey,
}

/// The last part of a key file, which a password hides: id, key and their checksum.
const HIDDEN: usize = 8 + 64 + 32;
const FILE: usize = 2 + 2 + 2 + 32 + 8 + 8 + HIDDEN;

impl SecretKey {
    /// How long the text of [`SecretKey::to_text`] is.
    pub const TEXT_LEN: usize = UNTRUSTED.len() + "gmemx secret key ".len() + 16 + 1 + 212 + 1;

    pub fn generate() -> Result<SecretKey> {
        let mut random = Zeroizing::new([0; 40]);
        fill(&mut *random)?;
        let (id, seed) = split(&*random);
        let seed = Zeroizing::new(split(seed).0);
        Ok(SecretKey { id, key: SigningKey::from_bytes(&seed) })
    }

    /// From a file of minisign; the password is looked at only where the key is encrypted.
    pub fn parse(text: &str, password: Option<&[u8]>) -> Result<SecretKey> {
        let what = "a secret key";
        let [comment, line] = lines(text, what)?;
        behind(comment, UNTRUSTED, what)?;
        let bytes = decoded::<FILE>(line.trim(), what)?;
        let (algorithm, rest) = split::<2>(&*bytes);
        let (derived, rest) = split::<2>(rest);
        let (check, rest) = split::<2>(rest);
        let (salt, rest) = split::<32>(rest);
        let (work, rest) = split::<8>(rest);
        let (memory, rest) = split::<8>(rest);
        if algorithm != PLAIN || check != BLAKE2B {
            return wrong("a secret key must be of Ed25519, but this one is of another algorithm");
        }
        let mut hidden = Zeroizing::new(split::<HIDDEN>(rest).0);
        match (derived, password) {
            (NO_PASSWORD, _) => {}
            (SCRYPT, Some(password)) => {
                let cost = Cost::new(u64::from_le_bytes(work), u64::from_le_bytes(memory))?;
                cost.hide(&mut hidden, password, &salt)?;
            }
            (SCRYPT, None) => {
                return wrong("this secret key is encrypted, and no password was given");
            }
            _ => return wrong("a secret key must be encrypted by scrypt or not at all"),
        }
        let (id, rest) = split::<8>(&*hidden);
        let (seed, rest) = split::<32>(rest);
        let (public, checksum) = split::<32>(rest);
        let key = SigningKey::from_bytes(&Zeroizing::new(seed));
        let made = SecretKey { id, key };
        let whole = made.key.verifying_key().as_bytes() == &public;
        // minisign writes zeros for a checksum where there is no password.
        match (derived, made.checksum() == *checksum) {
            (SCRYPT, false) => wrong("the password does not fit this secret key"),
            (NO_PASSWORD, false) if *checksum != [0; 32] => wrong(DAMAGED),
            _ if !whole => wrong(DAMAGED),
            _ => Ok(made),
        }
    }

    fn checksum(&self) -> [u8; 32] {
        let hash = Blake2b::<U32>::new().chain_update(PLAIN).chain_update(self.id);
        hash.chain_update(*Zeroizing::new(self.key.to_keypair_bytes())).finalize().into()
    }

    pub fn public(&self) -> PublicKey {
        PublicKey { id: self.id, key: self.key.verifying_key() }
    }

    /// As a file of minisign, encrypted where there is a password, which then costs whoever
    /// tries one about `memory` bytes. Where the system has not so much, half of it is tried.
    pub fn to_text(&self, password: Option<&[u8]>, memory: u64) -> Result<Zeroizing<String>> {
        let mut file = Zeroizing::new([0; FILE]);
        let (head, hidden) = file.split_at_mut(FILE - HIDDEN);
        let hidden: &mut [u8; HIDDEN] = hidden.try_into().expect("HIDDEN bytes are left");
        head[..2].copy_from_slice(&PLAIN);
        head[4..6].copy_from_slice(&BLAKE2B);
        hidden[..8].copy_from_slice(&self.id);
        hidden[8..72].copy_from_slice(&*Zeroizing::new(self.key.to_keypair_bytes()));
        hidden[72..].copy_from_slice(&self.checksum());
        if let Some(password) = password {
            let mut salt = [0; 32];
            fill(&mut salt)?;
            let mut memory = memory;
            let cost = loop {
                let cost = Cost::new(memory / 32, memory)?;
                match cost.hide(hidden, password, &salt) {
                    Ok(()) => break cost,
                    Err(Error::OutOfMemory(_)) if memory / 2 >= LEAST_MEMORY => memory /= 2,
                    Err(error) => return Err(error),
                }
            };
            head[2..4].copy_from_slice(&SCRYPT);
            head[6..38].copy_from_slice(&salt);
            head[38..46].copy_from_slice(&cost.work.to_le_bytes());
            head[46..].copy_from_slice(&cost.memory.to_le_bytes());
        }
        let mut text = Zeroizing::new(String::with_capacity(SecretKey::TEXT_LEN));
        let _ = writeln!(text, "{UNTRUSTED}gmemx secret key {:016X}", number(self.id));
        STANDARD.encode_string(*file, &mut text);
        text.push('\n');
        Ok(text)
    }

    /// Signs data and a comment, as a file of minisign.
    pub fn sign(&self, data: &[u8], comment: &str) -> Result<String> {
        let mut signature = Signature {
            hashed: true,
            id: self.id,
            data: self.key.sign(&Blake2b512::digest(data)).to_bytes(),
            comment: checked_comment(comment)?.to_owned(),
            comment_data: [0; 64],
        };
        signature.comment_data = self.key.sign(&signature.commented()).to_bytes();
        Ok(signature.to_text(&format!("signature from gmemx secret key {:016X}", number(self.id))))
    }
}

/// What trying a password costs: the two numbers that a key file has for it.
struct Cost {
    work: u64,
    memory: u64,
    params: scrypt::Params,
}

impl Cost {
    /// The parameters of scrypt follow from the two numbers as in libsodium, which made them.
    fn new(work: u64, memory: u64) -> Result<Cost> {
        let absurd = || {
            format!(
                "a secret key's password must cost between {LEAST_MEMORY} and {MEMORY} bytes of \
                 memory and at most {MOST_WORK} steps, not {memory} bytes and {work} steps"
            )
        };
        if !(LEAST_MEMORY..=MEMORY).contains(&memory) || work > MOST_WORK {
            return wrong(absurd());
        }
        const R: u64 = 8;
        let steps = work.max(32768);
        let little = steps < memory / 32;
        let most = if little { steps / (R * 4) } else { memory / (R * 128) };
        // The least power of two above half of it.
        let log_n = (most / 2).checked_ilog2().map_or(1, |log| log + 1);
        let p = if little { 1 } else { ((steps / 4) >> log_n) / R };
        match scrypt::Params::new(log_n as u8, R as u32, p as u32) {
            Ok(params) => Ok(Cost { work, memory, params }),
            Err(_) => wrong(absurd()),
        }
    }

    /// Hides what is plain, and shows what is hidden.
    fn hide(&self, bytes: &mut [u8; HIDDEN], password: &[u8], salt: &[u8; 32]) -> Result<()> {
        // scrypt ends the process where it gets no memory, so the same is asked for first.
        let mut asked: Vec<u8> = Vec::new();
        if asked.try_reserve_exact(self.memory as usize + (1 << 20)).is_err() {
            return Err(Error::OutOfMemory("out of memory: no room to try a password"));
        }
        drop(asked);
        let mut stream = Zeroizing::new([0; HIDDEN]);
        match scrypt::scrypt(password, salt, &self.params, &mut *stream) {
            Ok(()) => bytes.iter_mut().zip(*stream).for_each(|(byte, mask)| *byte ^= mask),
            Err(error) => return wrong(format!("the password cannot be used: {error}")),
        }
        Ok(())
    }
}

/// Random bytes from the system.
fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::Io {
        what: "no random numbers for a key".to_owned(),
        source: error.into(),
    })
}
