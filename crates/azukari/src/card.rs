//! `azukari card`: made-up IC cards for the virtual reader of pcscd, and (`card_home`) what a card in a
//! reader is and can do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use hpki::Certificate;
use hsm::SystemRandom;
use town::card::{Kept, KeptKey, Pin, vpcd};
use town::jpki::{Jpki, Resident};
use town::people::{self, Person};

use crate::card_approve;
use crate::card_home;
use crate::clock::now;
use crate::runtime::Stop;

/// What can be done with a card.
#[derive(Subcommand, Clone)]
pub(crate) enum CardCommand {
    /// リーダーにあるカードと、暗証番号の残りの回数を見る (what is in which reader)
    List(card_home::WaysArguments),
    /// カードで本人であることを示して手続きする。自宅でもできる (prove who you are, from anywhere)
    Prove(card_home::ProveArguments),
    /// ログインする画面に出た命令で、サービスへのログインをカードで承認する (approve a login by card)
    Approve(card_approve::ApproveArguments),
    /// 架空のマイナンバーカードを作る (make a My Number Card of a made-up resident)
    Create {
        /// カードと、試験用の公的個人認証の認証局を置くフォルダ (folder for the card and its test authorities)
        #[arg(long)]
        out: PathBuf,
        /// 町のだれのカードか (whose: a person of the town)
        #[arg(long, default_value = "hanako")]
        person: String,
        /// 利用者証明用の暗証番号、4 桁 (authentication PIN)
        #[arg(long, default_value = "1234")]
        pin: String,
        /// 署名用のパスワード、英大文字と数字 6〜16 字 (signature password)
        #[arg(long, default_value = "TEST0123")]
        password: String,
    },
    /// カードの中身と残りの回数を見る (what is on it, and the tries left)
    Show {
        /// カードのファイル (the card's file)
        file: PathBuf,
    },
    /// 仮想リーダーに差し込む。Ctrl-C で抜く (put it into the virtual reader; Ctrl-C takes it out)
    Insert {
        /// カードのファイル (the card's file)
        file: PathBuf,
        /// vpcd の待ち受け (where vpcd listens)
        #[arg(long, default_value_t = SocketAddr::from(([127, 0, 0, 1], vpcd::PORT)))]
        reader: SocketAddr,
    },
}

/// `azukari card …`
pub(crate) fn run(command: CardCommand) -> ExitCode {
    crate::runtime::run(async move {
        match command {
            CardCommand::List(arguments) => card_home::list(&arguments).await,
            CardCommand::Prove(arguments) => card_home::prove(&arguments).await,
            CardCommand::Approve(arguments) => card_approve::approve(&arguments).await,
            CardCommand::Create { out, person, pin, password } => {
                create(&out, &person, &pin, &password)
            }
            CardCommand::Show { file } => show(&read(&file)?),
            CardCommand::Insert { file, reader } => insert(&file, reader).await,
        }
    })
}

fn create(out: &Path, slug: &str, pin: &str, password: &str) -> Result<(), Stop> {
    let everybody = people::PEOPLE;
    let person: &Person =
        everybody.into_iter().find(|person| person.slug == slug).ok_or_else(|| {
            let known: Vec<&str> = everybody.iter().map(|person| person.slug).collect();
            format!("{slug} は町にいません。いるのは {} です (no such person)", known.join("、"))
        })?;
    if pin.len() != 4 || !pin.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err("暗証番号は数字 4 桁です (the PIN has four digits)".into());
    }
    let plain = password.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if !(6..=16).contains(&password.len()) || !plain {
        return Err(
            "パスワードは英大文字と数字 6〜16 字です (6 to 16 capital letters and digits)".into()
        );
    }
    crate::files::private_folder(out)?;
    let file = out.join(format!("my-number-card-{slug}.json"));
    if file.exists() {
        return Err(format!("{} は既にあります (it is there already)", file.display()).into());
    }
    let authority = out.join("jpki-authority.json");
    let jpki = if authority.exists() {
        Jpki::again(&serde_json::from_slice(&std::fs::read(&authority)?)?)?
    } else {
        let jpki = Jpki::found(now(), &SystemRandom)?;
        crate::files::replace(&authority, &serde_json::to_string(&jpki.keep())?)?;
        jpki
    };
    let resident = Resident {
        name: person.name_ja,
        // 3: not told. The town does not know.
        gender: 3,
        birth_date: person.birth_date,
        address: "架空県見本市例示町一丁目",
    };
    let card = jpki.card(&resident, pin, password, now(), &SystemRandom)?;
    crate::files::replace(&file, &serde_json::to_string(&card)?)?;
    for (name, der) in ["jpki-auth-ca.pem", "jpki-sign-ca.pem"].into_iter().zip(jpki.certificates())
    {
        std::fs::write(out.join(name), Certificate::from_der(der)?.pem())?;
    }
    println!("{} さんのマイナンバーカード（試験用）を作りました (made)", person.display_ja());
    println!("  {}", file.display());
    println!("  次に: azukari card insert {} (next)", file.display());
    Ok(())
}

fn read(file: &Path) -> Result<Kept, Stop> {
    let text = std::fs::read(file)
        .map_err(|error| format!("{} を読めません: {error} (cannot read)", file.display()))?;
    serde_json::from_slice(&text).map_err(|error| {
        format!("{} はカードのファイルではありません: {error} (not a card)", file.display()).into()
    })
}

fn show(card: &Kept) -> Result<(), Stop> {
    let application = |what: &str, key: &KeptKey, pin: &Pin| -> Result<(), Stop> {
        let certificate = Certificate::from_der(&key.certificate()?)?;
        println!("  {what}");
        println!(
            "    {}  {} まで (until)",
            certificate.subject(),
            certificate.not_after().rfc3339()
        );
        let left = if pin.left == 0 {
            "ロックされています (blocked)".to_owned()
        } else {
            format!("あと {} / {} 回 (tries left)", pin.left, pin.tries)
        };
        println!("    暗証番号: {left}");
        Ok(())
    };
    match card {
        Kept::Jpki { auth, sign, auth_pin, sign_pin } => {
            println!("マイナンバーカード（試験用; My Number Card, TEST）");
            application("利用者証明用 (authentication)", auth, auth_pin)?;
            // Its subjectAltName has an address: not shown.
            application("署名用 (signature)", sign, sign_pin)
        }
        Kept::Hpki { signing, authentication, signing_pin, authentication_pin, .. } => {
            println!("HPKI カード（試験用; HPKI card, TEST）");
            application("署名用 (signing)", signing, signing_pin)?;
            application("認証用 (authentication)", authentication, authentication_pin)
        }
    }
}

/// What to do where nobody listens for cards.
pub(crate) fn no_reader(reader: SocketAddr, error: &std::io::Error) -> String {
    format!(
        "{reader} に仮想リーダーがありません: {error}\n  → pcscd と vsmartcard-vpcd を入れて pcscd を起動してください (no virtual reader; install and start pcscd with vsmartcard-vpcd)"
    )
}

/// Until Ctrl-C, or until the reader is gone. The counters are written as they change: pulling the
/// card out gives no try back.
async fn insert(file: &Path, reader: SocketAddr) -> Result<(), Stop> {
    let mut kept = read(file)?;
    let card = kept.card()?;
    let inserted = vpcd::insert(card, reader).map_err(|error| no_reader(reader, &error))?;
    println!("カードを差し込みました。Ctrl-C で抜きます (inserted; Ctrl-C takes it out)");
    println!("  見るには: opensc-tool --list-readers、pkcs15-tool -D (to look at it)");
    let (stop, mut stopped) = crate::runtime::until_interrupted();
    let mut saved = serde_json::to_string(&kept)?;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        let end = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => true,
            _ = look.tick() => !inserted.is_in(),
        };
        inserted.look(|card| kept.remember(card));
        let text = serde_json::to_string(&kept)?;
        if text != saved {
            crate::files::replace(file, &text)?;
            saved = text;
        }
        if end {
            break;
        }
    }
    drop(stop);
    println!("カードを抜きました (taken out)");
    Ok(())
}
