fn main() {
    let _ = hsm::SubscriberDesk {};
}
