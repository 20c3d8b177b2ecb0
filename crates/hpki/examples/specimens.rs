//! Writes one certificate and list of every profile, with throwaway keys, for foreign judges:
//! `cargo run -p hpki --example specimens -- FOLDER`, then e.g. pkilint over the files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    let folder = std::env::args().nth(1).expect("a folder to write to");
    std::fs::create_dir_all(&folder).unwrap();
    support::estate().write(std::path::Path::new(&folder));
}
