//! Linker options of the shipped library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The pool's workers sleep inside the library, so `dlclose` must not unmap it.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
