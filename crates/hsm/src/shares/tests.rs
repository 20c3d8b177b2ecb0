//! Shares in the hands of honest, careless and dishonest officers.

use std::os::unix::fs::PermissionsExt as _;

use hpki::refusal::Refuse as _;
use hpki::sign::Random;
use proptest::prelude::*;

use super::*;
use crate::random::SystemRandom;

/// Octets 0, 1, 2 …: for vectors.
struct Counting(std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for octet in buffer {
            *octet = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn set() -> Set {
    Set::new(Duty::User, NEED, OF, &SystemRandom).unwrap()
}

fn copy(share: &Share) -> Share {
    Share::from_octets(&share.octets()).unwrap()
}

fn gathered<'a>(shares: impl IntoIterator<Item = &'a Share>) -> Gathering {
    let mut gathering = Gathering::of_any(Duty::User);
    for share in shares {
        gathering.add(copy(share)).unwrap();
    }
    gathering
}

fn text(share: &Share) -> String {
    share.to_lines().each_ref().map(|line| format!("{}\n", line.as_str())).concat()
}

proptest! {
    #[test]
    fn any_three_of_five_give_the_secret(secret: [u8; 32], order in Just([0_usize, 1, 2, 3, 4]).prop_shuffle()) {
        let shares = split(&UnsealSecret::from_octets(&secret), set(), &SystemRandom);
        let three = gathered(order[..3].iter().map(|place| &shares[*place]));
        prop_assert_eq!(*three.secret().unwrap().octets(), secret);
    }

    #[test]
    fn any_quorum_gives_the_secret(secret: [u8; 32], need in 2_u8..=8, more in 0_u8..=8, from in 0_u8..=8) {
        let set = Set::new(Duty::User, need, need + more, &SystemRandom).unwrap();
        let shares = split(&UnsealSecret::from_octets(&secret), set, &SystemRandom);
        let from = usize::from(from.min(more));
        let some = gathered(&shares[from..from + usize::from(need)]);
        prop_assert_eq!(*some.secret().unwrap().octets(), secret);
    }

    #[test]
    fn what_is_printed_is_what_is_typed(secret: [u8; 32]) {
        for share in split(&UnsealSecret::from_octets(&secret), set(), &SystemRandom) {
            let typed = text(&share).to_lowercase().replace("  ", "-").replace('0', "o").replace('1', "l");
            let typed = typed.replacen("l-", "1-", 1);
            let again = Share::from_lines(&typed).unwrap();
            prop_assert_eq!(again.octets(), share.octets());
        }
    }

    #[test]
    fn a_share_changed_anywhere_is_refused(secret: [u8; 32], place in 0_usize..WHOLE, by in 1_u8..) {
        let share = &split(&UnsealSecret::from_octets(&secret), set(), &SystemRandom)[0];
        let mut octets = share.octets();
        octets[place] ^= by;
        prop_assert_eq!(Share::from_octets(&octets).map(drop), Err(Refusal::ShareDamaged));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn to_two_officers_every_secret_is_possible(secret: [u8; 32], other: [u8; 32]) {
        // Whatever the two hold, for each secret there is exactly one third share that fits it:
        // they can neither exclude nor prefer any.
        let shares = split(&UnsealSecret::from_octets(&secret), set(), &SystemRandom);
        let (one, two) = (&shares[1], &shares[3]);
        for (place, wished) in other.iter().enumerate() {
            let possible: Vec<u8> = (0..=255).map(|third| {
                let mut guess = copy(&shares[4]);
                guess.value[place] = third;
                gathered([one, two, &guess]).secret().unwrap().octets()[place]
            }).collect();
            let mut sorted = possible.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..=255).collect::<Vec<u8>>());
            prop_assert!(possible.contains(wished));
        }
    }
}

#[test]
fn two_of_three_are_refused_before_anything_is_computed() {
    let shares = split(&UnsealSecret::random(&SystemRandom), set(), &SystemRandom);
    let two = gathered(&shares[..2]);
    assert_eq!(two.progress(), Some(Progress { have: 2, need: 3 }));
    assert_eq!(two.secret().map(drop), Err(Refusal::SharesTooFew { have: 2, need: 3 }));
}

#[test]
fn a_share_of_another_set_of_the_other_officers_or_twice_is_refused() {
    let secret = UnsealSecret::random(&SystemRandom);
    let set = set();
    let shares = split(&secret, set, &SystemRandom);
    let mut gathering = Gathering::of(set);
    gathering.add(copy(&shares[0])).unwrap();
    assert_eq!(gathering.add(copy(&shares[0])), Err(Refusal::ShareRepeated(1)));
    let others = split(&secret, self::set(), &SystemRandom);
    assert_eq!(gathering.add(copy(&others[1])), Err(Refusal::ShareOfAnotherSet));
    let security = Set::new(Duty::Security, NEED, OF, &SystemRandom).unwrap();
    let theirs = split(&secret, security, &SystemRandom);
    assert_eq!(gathering.add(copy(&theirs[1])), Err(Refusal::ShareOfAnotherDuty(Duty::User)));
    // None of it disturbed what was there.
    gathering.add(copy(&shares[1])).unwrap();
    assert!(gathering.add(copy(&shares[4])).unwrap().is_complete());
    assert_eq!(gathering.add(copy(&shares[2])), Err(Refusal::SharesComplete));
    assert_eq!(gathering.secret().unwrap().octets(), secret.octets());
}

#[test]
fn a_forged_share_with_a_good_check_gives_another_secret_and_the_set_tells() {
    let secret = UnsealSecret::random(&SystemRandom);
    let set = set();
    let shares = split(&secret, set, &SystemRandom);
    let mut forged = copy(&shares[2]);
    forged.value[7] ^= 1;
    let wrong = gathered([&shares[0], &shares[1], &forged]).secret().unwrap();
    let right = gathered(&shares[..3]).secret().unwrap();
    let kept = set.check_value(&secret).unwrap();
    assert_eq!(set.check_value(&right).unwrap(), kept);
    assert_ne!(set.check_value(&wrong).unwrap(), kept);
    assert_ne!(self::set().check_value(&right).unwrap(), kept, "each set has its own");
}

#[test]
fn a_quorum_of_one_more_than_all_or_too_many_is_refused() {
    for (need, of) in [(1, 5), (0, 5), (6, 5), (3, OF_MAX + 1)] {
        let refused = Set::new(Duty::User, need, of, &SystemRandom);
        assert_eq!(refused, Err(Refusal::QuorumNotAllowed { need, of }));
    }
}

#[test]
fn a_line_that_is_mistyped_exchanged_or_missing_is_told_by_its_number() {
    let share = &split(&UnsealSecret::random(&SystemRandom), set(), &SystemRandom)[0];
    let lines: Vec<String> = share.to_lines().iter().map(|line| line.to_string()).collect();
    for (number, line) in (1..).zip(&lines) {
        Share::check_line(number, line).unwrap();
        assert_eq!(
            Share::check_line(number % 4 + 1, line),
            Err(Refusal::ShareLineWrong(number % 4 + 1))
        );
        // One letter wrong: of 31 other letters in 25 places, one in a thousand may pass the line
        // and none the share.
        let mut passed = 0;
        for (place, letter) in line.char_indices().filter(|(_, letter)| *letter != ' ') {
            for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().filter(|other| *other != letter)
            {
                let mut typed = line.clone();
                typed.replace_range(place..=place, &other.to_string());
                let mut all = lines.clone();
                all[number - 1].clone_from(&typed);
                passed += usize::from(Share::check_line(number, &typed).is_ok());
                assert!(Share::from_lines(&all.join("\n")).is_err());
            }
        }
        assert!(passed < 10, "{passed}");
    }
    let swapped = [&lines[1], &lines[0], &lines[2], &lines[3]].map(String::as_str).join("\n");
    assert_eq!(Share::from_lines(&swapped).map(drop), Err(Refusal::ShareLineWrong(1)));
    for (wrong, code) in [
        (lines[..3].join("\n"), "share-malformed"),
        (format!("{}\n{}", lines.join("\n"), lines[3]), "share-malformed"),
        (String::new(), "share-malformed"),
        ("1 架空".into(), "share-line-wrong"),
        (format!("1 {}", "A".repeat(10_000)), "share-line-wrong"),
    ] {
        assert_eq!(Share::from_lines(&wrong).map(drop).unwrap_err().code(), code);
    }
    let noted = format!("# 利用者側 1/5\n\n{}\n", lines.join("\n\n"));
    assert_eq!(Share::from_lines(&noted).unwrap().octets(), share.octets());
}

#[test]
fn a_share_of_a_later_version_is_told_apart_from_a_damaged_one() {
    let share = &split(&UnsealSecret::random(&SystemRandom), set(), &SystemRandom)[0];
    let mut octets = share.octets();
    octets[0] = 2 << 4 | 1;
    let good = check(&octets[..BODY]);
    octets[BODY..].copy_from_slice(&good);
    assert_eq!(Share::from_octets(&octets).map(drop), Err(Refusal::ShareVersionUnknown(2)));
    // A number that cannot be, with a good check.
    for (place, odd) in [(11, 0), (11, 6), (9, 1), (10, 33), (0, 1 << 4 | 7)] {
        let mut octets = share.octets();
        octets[place] = odd;
        let good = check(&octets[..BODY]);
        octets[BODY..].copy_from_slice(&good);
        assert_eq!(Share::from_octets(&octets).map(drop), Err(Refusal::ShareDamaged));
    }
}

#[test]
fn the_published_vector_is_reproduced() {
    // Made by another program (tables of logarithms, Python): secret 00 01 … 1f, coefficients
    // counting on from 08 after the set's number 00 … 07.
    let counting = Counting(0.into());
    let set = Set::new(Duty::User, 3, 5, &counting).unwrap();
    let secret = UnsealSecret::from_octets(&std::array::from_fn(|place| place as u8));
    let shares = split(&secret, set, &counting);
    let hex = |octets: &[u8]| octets.iter().map(|o| format!("{o:02x}")).collect::<String>();
    assert_eq!(hex(&*shares[0].value), VECTOR_1);
    assert_eq!(hex(&*shares[4].value), VECTOR_5);
    assert_eq!(hex(&*shares[1].octets()), VECTOR_2_WHOLE);
    let lines = shares[1].to_lines();
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
    assert_eq!(lines, VECTOR_2_LINES);
}

const VECTOR_1: &str = "202122232425262728292a2b2c2d2e2f303132333435363778797a7b7c7d7e7f";
const VECTOR_5: &str = "b6a39c89e2f7c8dd45506f7a11043b2efde8d7c2a9bc83969481beabc0d5eaff";
const VECTOR_2_WHOLE: &str = "110001020304050607030502b0b7beb9acaba2a5e8efe6e1f4f3fafdc0c7cec9dcdbd2d543444d4a5f58515677f773f557a4";
const VECTOR_2_LINES: [&str; 4] = [
    "1  24002  0G30G  2GC1R  30M1B  4R",
    "2  1DXYQ  6PAQ8  N5X3Q  YDRFM  YT",
    "3  YFXFV  G67SV  4XSPY  JTN1M  AM",
    "4  8KAAB  XC52N  KQYXS  ZANX4  TP",
];

#[test]
fn a_share_file_opens_with_its_passphrase_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("share-1.txt");
    let share = &split(&UnsealSecret::random(&SystemRandom), set(), &SystemRandom)[0];
    let code = |failed: Failed| match failed {
        Failed::Refused(refusal) => refusal.code(),
        Failed::Fault(fault) => panic!("{fault}"),
    };
    let short = share.lock(&file, "架空 一郎", "elevenchars", &SystemRandom);
    assert_eq!(code(short.unwrap_err()), "passphrase-too-short");
    share.lock(&file, "架空 一郎", "正しい 馬 電池 ホチキス", &SystemRandom).unwrap();
    let over = share.lock(&file, "架空 一郎", "正しい 馬 電池 ホチキス", &SystemRandom);
    assert_eq!(code(over.unwrap_err()), "share-file-unusable");
    let (officer, again) = Share::unlock(&file, "正しい 馬 電池 ホチキス").unwrap();
    assert_eq!((officer.as_str(), again.octets()), ("架空 一郎", share.octets()));
    let wrong = Share::unlock(&file, "間違った 馬 電池 ホチキス");
    assert_eq!(code(wrong.unwrap_err()), "share-file-locked");

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = Share::unlock(&file, "正しい 馬 電池 ホチキス");
    assert_eq!(code(open.unwrap_err()), "share-file-readable");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    // The officer's name is bound in; a strange form or a cost out of bounds is not even tried.
    let octets = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        text.lines().filter(|line| !line.starts_with('-')).collect::<String>(),
    )
    .unwrap();
    let mut cases = vec![(octets[..octets.len() - 1].to_vec(), "share-file-unusable")];
    for (place, code) in [
        (0, "share-file-unusable"),
        (5, "share-file-unusable"),
        (20, "share-file-locked"),
        (40, "share-file-locked"),
        (51, "share-file-locked"),
        (octets.len() - 1, "share-file-locked"),
    ] {
        let mut changed = octets.clone();
        changed[place] ^= if place == 51 { 2 } else { 0x40 };
        cases.push((changed, code));
    }
    for (changed, expected) in cases {
        let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, changed);
        let text = format!("-----BEGIN AZUKARI SHARE-----\n{body}\n-----END AZUKARI SHARE-----\n");
        std::fs::write(&file, text).unwrap();
        let refused = Share::unlock(&file, "正しい 馬 電池 ホチキス");
        assert_eq!(code(refused.unwrap_err()), expected);
    }
    std::fs::write(&file, "not a share").unwrap();
    let refused = Share::unlock(&file, "正しい 馬 電池 ホチキス");
    assert_eq!(code(refused.unwrap_err()), "share-file-unusable");
}
