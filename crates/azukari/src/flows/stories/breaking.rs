//! The store breaks, or the platform dies, at each step of what people do with their phones, behind the
//! platform's real door: what she was told is true, and what broke she does once more.

use authn::NoticeKind;
use ledger::Break;
use serde_json::json;
use town::people::HANAKO;
use wire::{ChangeState, HolderNotice};

use super::holder::{Page, offer};
use super::*;

/// Failing and coming back; having acted and dying.
pub(super) const HOWS: [Break; 2] = [Break::Before, Break::DieAfter];

impl House {
    /// What broke is over: a platform whose store died is started again, and delivers what waits.
    /// Whether there was a step to break at all.
    pub(super) async fn mended(&mut self, how: Break) -> bool {
        let happened = self.faults.happened();
        self.faults.arm(u64::MAX, Break::Before);
        if happened && how == Break::DieAfter {
            self.again().await;
        }
        crate::flows::deliver::all(self.platform(), now()).await.unwrap();
        happened
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_morning_breaks_she_scans_again_and_the_books_balance() {
    let mut house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    for how in HOWS {
        for n in 1.. {
            house.faults.arm(n, how);
            let tried = house.morning(&mut hanako).await;
            let happened = house.mended(how).await;
            let token = match tried {
                Ok(token) => token,
                Err(_) => house.morning(&mut hanako).await.unwrap(),
            };
            send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();
            if !happened {
                assert!(n > 5, "a morning takes more steps than {n}");
                break;
            }
        }
    }
    house.in_order().await;
}

/// The notices of this kind after that number.
fn told(notices: &[HolderNotice], kind: NoticeKind, after: u64) -> usize {
    let these = notices.iter().filter(|one| one.kind == kind.name() && one.number > after);
    these.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_stop_breaks_what_she_was_told_is_true_and_she_is_told_of_it_once() {
    let mut house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    for how in HOWS {
        for n in 1.. {
            let mut page = Page::open(&house, &mut hanako).await;
            let before = page.state().await.unwrap().notices[0].number;
            let asked = page.post(wire::path::ME_ACT_BEGIN, json!({"act": "stop"})).await.unwrap();
            house.faults.arm(n, how);
            let said = page.agree(asked).await;
            let happened = house.mended(how).await;
            let mut page = Page::open(&house, &mut hanako).await;
            if page.state().await.unwrap().key.usable {
                assert!(said.is_err(), "she was told that it is stopped");
                page.decide(json!({"act": "stop"})).await.unwrap();
            }
            let state = page.state().await.unwrap();
            assert!(!state.key.usable && state.sessions.is_empty());
            assert_eq!(told(&state.notices, NoticeKind::KeyStopped, before), 1, "{how:?} {n}");
            page.decide(json!({"act": "restart"})).await.unwrap();
            let state = page.state().await.unwrap();
            assert_eq!(told(&state.notices, NoticeKind::KeyStarted, before), 1, "{how:?} {n}");
            if !happened {
                assert!(n > 5, "a stop takes more steps than {n}");
                break;
            }
        }
    }
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_change_of_phones_breaks_exactly_one_of_them_is_hers() {
    let mut house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    for how in HOWS {
        for n in 1.. {
            let url = house.platform().config.url.clone();
            let mut new = Phone::new("新しい電話", &url).unwrap();
            let mut page = Page::open(&house, &mut hanako).await;
            offer(&page, &mut new).await;
            let state: ChangeState = page.post(wire::path::ME_CHANGE, json!({})).await.unwrap();
            house.faults.arm(n, how);
            let said = page.agree(state.ask.unwrap()).await;
            let happened = house.mended(how).await;
            let old = std::mem::replace(&mut hanako.phone, new);
            let moved = house.morning(&mut hanako).await;
            if moved.is_err() {
                assert!(said.is_err(), "she was told that she has moved");
                hanako.phone = old;
                house.morning(&mut hanako).await.unwrap();
            } else {
                let new = std::mem::replace(&mut hanako.phone, old);
                assert!(house.morning(&mut hanako).await.is_err(), "{how:?} {n}: both are hers");
                hanako.phone = new;
            }
            if !happened {
                assert!(n > 5, "a change takes more steps than {n}");
                break;
            }
        }
    }
    house.in_order().await;
}
