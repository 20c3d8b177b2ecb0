fn needs_clone<T: Clone>() {}

fn main() {
    needs_clone::<hsm::Desks>();
    needs_clone::<hsm::SubscriberDesk>();
    needs_clone::<hsm::CaDesk>();
    needs_clone::<hsm::TokenDesk>();
    needs_clone::<hsm::LogDesk>();
    needs_clone::<hsm::LoadedKey>();
    needs_clone::<hsm::CaKey>();
    needs_clone::<hsm::TokenKey>();
}
