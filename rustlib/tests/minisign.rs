//! Keys and signatures of other tools, and those made here, without Python or C between.

use std::fs;
use std::path::PathBuf;

use gmemx::plugin::minisign::{LEAST_MEMORY, PublicKey, SecretKey, Signature};
use proptest::prelude::*;

fn vector(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/minisign");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn signatures_of_other_tools_fit() {
    let message = vector("message.txt");
    for (signature, key) in [
        ("message.hashed", "open"),
        ("message.legacy", "open"),
        ("message.encrypted", "minisign"),
        ("message.python", "python"),
        ("message.rust", "rust"),
    ] {
        let key = PublicKey::parse(&vector(&format!("{key}.pub"))).unwrap();
        let signature = Signature::parse(&vector(&format!("{signature}.minisig"))).unwrap();
        assert!(key.verify(message.as_bytes(), &signature));
        assert!(!key.verify(&message.as_bytes()[1..], &signature));
    }
}

#[test]
fn keys_of_other_tools_sign() {
    for (name, password) in [("open", None), ("python", Some("secret")), ("rust", Some("secret"))] {
        let text = vector(&format!("{name}.key"));
        let key = SecretKey::parse(&text, password.map(str::as_bytes)).unwrap();
        assert_eq!(key.public(), PublicKey::parse(&vector(&format!("{name}.pub"))).unwrap());
    }
}

#[test]
fn a_text_is_as_long_as_it_is_said_to_be() {
    let key = SecretKey::generate().unwrap();
    for password in [None, Some(&b"secret"[..])] {
        let text = key.to_text(password, LEAST_MEMORY).unwrap();
        assert_eq!(text.len(), SecretKey::TEXT_LEN);
        assert_eq!(SecretKey::parse(&text, password).unwrap().public(), key.public());
    }
}

proptest! {
    #[test]
    fn what_is_signed_fits_and_nothing_else(data: Vec<u8>, comment in "[a-z]{0,20}", at: usize) {
        let key = SecretKey::generate().unwrap();
        let text = key.sign(&data, &comment).unwrap();
        let signature = Signature::parse(&text).unwrap();
        prop_assert!(key.public().verify(&data, &signature));
        let mut other = data.clone();
        other.push(0);
        let at = at % other.len();
        other[at] ^= 1;
        prop_assert!(!key.public().verify(&other, &signature));
    }

    #[test]
    fn any_text_at_all_is_an_error_and_no_panic(text in "\\PC*(\n\\PC*){0,4}", line in "[A-Za-z0-9+/=]*") {
        let _ = (PublicKey::parse(&text), Signature::parse(&text), SecretKey::parse(&text, None));
        let two = format!("untrusted comment: x\n{line}\n");
        let four = format!("{two}trusted comment: x\n{line}\n");
        let _ = (PublicKey::parse(&two), Signature::parse(&four), SecretKey::parse(&two, None));
    }
}
