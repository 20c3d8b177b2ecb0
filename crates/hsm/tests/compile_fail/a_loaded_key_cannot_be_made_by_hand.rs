use hpki::id::KeyId;

fn main() {
    let _ = hsm::LoadedKey { credential: KeyId::from_octets([0; 16]) };
}
