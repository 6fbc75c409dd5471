//! Signatures in the format of minisign, in C.

use std::ffi::{c_char, c_void};

use super::guard::{OrNull, borrow, boxed, copy_out, free, guard, input, out, text};
use super::status::Status;
use crate::plugin::minisign::{self, PublicKey, SecretKey, Signature};

/// A secret key. It is wiped from memory when it is freed.
pub struct MinisignKey(SecretKey);

/// # Safety
/// `password` is NULL or points to `len` bytes that live through `'a`.
unsafe fn password<'a>(password: *const u8, len: usize) -> crate::error::Result<Option<&'a [u8]>> {
    if password.is_null() && len == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's.
    Ok(Some(unsafe { input(password, len, "password")? }))
}

/// Whether `public_key` signed these `len` bytes, and the trusted comment in `signature` with
/// them. The key is the line that minisign prints, or the text of its file; the signature is
/// the text of a `.minisig` file. Both algorithms are known, "ED" and the older "Ed".
///
/// Errors: INVALID_ARGUMENT where the key or the signature is malformed. A signature of
/// another key, of other data, or with another comment is no error: `*out_fits` is false.
///
/// # Safety
/// `public_key` and `signature` are NULL or NUL-terminated strings; `data` points to `len`
/// bytes; `out_fits` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_verify(
    public_key: *const c_char,
    signature: *const c_char,
    data: *const c_void,
    len: usize,
    out_fits: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (key, signature, data, target) = unsafe {
            (
                text(public_key, "public_key")?,
                text(signature, "signature")?,
                input(data.cast::<u8>(), len, "data")?,
                out_fits.as_mut().or_null("out_fits")?,
            )
        };
        *target = PublicKey::parse(key)?.verify(data, &Signature::parse(signature)?);
        Ok(())
    })
}

/// The number of a public key, which minisign prints in hexadecimal.
///
/// Errors: INVALID_ARGUMENT where the key is malformed.
///
/// # Safety
/// `public_key` is NULL or a NUL-terminated string; `out_id` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_id(public_key: *const c_char, out_id: *mut u64) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (key, target) =
            unsafe { (text(public_key, "public_key")?, out_id.as_mut().or_null("out_id")?) };
        *target = PublicKey::parse(key)?.id();
        Ok(())
    })
}

/// Makes a new secret key of random numbers.
///
/// Ownership: the caller's, until `gmem_minisign_key_free`.
/// Errors: IO where the system has no random numbers; NO_MEMORY.
///
/// # Safety
/// `out_key` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_key_new(out_key: *mut *mut MinisignKey) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let target = unsafe { out(out_key, "out_key")? };
        *target = boxed(MinisignKey(SecretKey::generate()?))?;
        Ok(())
    })
}

/// Reads a secret key from the text of a file of minisign. The password is looked at only where
/// the key is encrypted; with `password` NULL there is none. Decrypting takes as much memory and
/// time as whoever made the key chose, by minisign's choice 1 GiB and some seconds.
///
/// Ownership: the caller's, until `gmem_minisign_key_free`.
/// Errors: INVALID_ARGUMENT where the text is malformed, the password wrong or missing;
/// NO_MEMORY.
///
/// # Safety
/// `file` is NULL or a NUL-terminated string; `password` points to `password_len` bytes;
/// `out_key` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_key_read(
    file: *const c_char,
    password: *const u8,
    password_len: usize,
    out_key: *mut *mut MinisignKey,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (file, password, target) = unsafe {
            (text(file, "file")?, self::password(password, password_len)?, out(out_key, "out_key")?)
        };
        *target = boxed(MinisignKey(SecretKey::parse(file, password)?))?;
        Ok(())
    })
}

/// The text of a file of minisign with a secret key, without a NUL, encrypted unless `password`
/// is NULL. Trying a password then takes `memory` bytes, a power of two from 1 MiB to 1 GiB; 0
/// means 1 GiB as minisign does it, or less where the system has not so much. The text is copied
/// where `room` is enough; `*out_len` is its length in any case.
///
/// Errors: INVALID_ARGUMENT for another `memory`; NO_MEMORY; IO where the system has no random
/// numbers.
///
/// # Safety
/// `key` is NULL or live; `password` points to `password_len` bytes; `out_text` is NULL or has
/// `room` bytes; `out_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_key_write(
    key: *const MinisignKey,
    password: *const u8,
    password_len: usize,
    memory: u64,
    out_text: *mut u8,
    room: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (key, password, len) = unsafe {
            (
                borrow(key, "key")?,
                self::password(password, password_len)?,
                out_len.as_mut().or_null("out_len")?,
            )
        };
        if room < SecretKey::TEXT_LEN {
            // Encrypting takes seconds: not for a text that nobody gets.
            *len = SecretKey::TEXT_LEN;
            return Ok(());
        }
        let memory = if memory == 0 { minisign::MEMORY } else { memory };
        let text = key.0.to_text(password, memory)?;
        // SAFETY: the caller's.
        unsafe { copy_out(text.as_bytes(), out_text, room, out_len, "out_text") }
    })
}

/// The text of a file of minisign with the public key that belongs to a secret one, without a
/// NUL. The text is copied where `room` is enough; `*out_len` is its length in any case.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `key` is NULL or live; `out_text` is NULL or has `room` bytes; `out_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_key_public(
    key: *const MinisignKey,
    out_text: *mut u8,
    room: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let text = unsafe { borrow(key, "key")? }.0.public().to_text();
        // SAFETY: the caller's.
        unsafe { copy_out(text.as_bytes(), out_text, room, out_len, "out_text") }
    })
}

/// Signs `len` bytes and a comment of one line: the text of a `.minisig` file, without a NUL,
/// by the algorithm "ED". The same key, bytes and comment always give the same text. It is copied
/// where `room` is enough, which 9,000 bytes always are; `*out_len` is its length in any case.
///
/// Errors: INVALID_ARGUMENT for a comment of several lines, with blanks at its ends, or of more
/// than 8,000 bytes.
///
/// # Safety
/// `key` is NULL or live; `data` points to `len` bytes; `comment` is NULL or a NUL-terminated
/// string; `out_text` is NULL or has `room` bytes; `out_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_key_sign(
    key: *const MinisignKey,
    data: *const c_void,
    len: usize,
    comment: *const c_char,
    out_text: *mut u8,
    room: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (key, data, comment) = unsafe {
            (borrow(key, "key")?, input(data.cast::<u8>(), len, "data")?, text(comment, "comment")?)
        };
        let text = key.0.sign(data, comment)?;
        // SAFETY: the caller's.
        unsafe { copy_out(text.as_bytes(), out_text, room, out_len, "out_text") }
    })
}

/// Wipes and frees a secret key; NULL is nothing.
///
/// # Safety
/// `key` is NULL or live; it is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_minisign_key_free(key: *mut MinisignKey) {
    // SAFETY: the caller's.
    unsafe { free(key) }
}
