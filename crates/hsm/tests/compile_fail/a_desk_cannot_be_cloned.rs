fn twice(desk: hsm::SubscriberDesk) -> (hsm::SubscriberDesk, hsm::SubscriberDesk) {
    (desk.clone(), desk)
}

fn main() {}
