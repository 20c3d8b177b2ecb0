//! `azukari revoke`: the operator revokes a certificate.
//!
//! It works on the platform's own folder, which one process owns: the platform must be stopped
//! first, and says so otherwise. What the other rooms must hear is delivered before the command
//! ends, or at the platform's next start.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use hpki::crl::Reason;

use crate::clock::now;
use crate::config::PlatformConfig;
use crate::demo::papers;
use crate::flows;
use crate::platform::open;

/// Flags of `azukari revoke`.
#[derive(Args)]
pub(crate) struct RevokeArguments {
    /// 基盤の設定ファイル (the platform's configuration)
    #[arg(long)]
    config: PathBuf,
    /// 失効させる証明書 (the certificate to revoke, PEM or DER)
    #[arg(long)]
    certificate: PathBuf,
    /// 理由 (reason, RFC 5280): keyCompromise, cessationOfOperation, affiliationChanged, superseded, privilegeWithdrawn
    #[arg(long)]
    reason: String,
    /// 新しい失効リストを書き出すフォルダ (folder to write the new lists to)
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Revokes, delivers, publishes.
pub(crate) fn run(arguments: RevokeArguments) -> ExitCode {
    crate::runtime::run(async move {
        let certificate = crate::verify::certificate(&arguments.certificate)?;
        let reason = Reason::from_name(&arguments.reason)
            .ok_or_else(|| format!("理由 {:?} はありません (no such reason)", arguments.reason))?;
        let platform = open::open(PlatformConfig::load(&arguments.config)?).await?;
        let authorities = platform.ca.authorities().await?;
        let issuer = authorities
            .iter()
            .find(|(_, authority)| authority.subject() == certificate.issuer())
            .ok_or(
                "この基盤の認証局が発行した証明書ではありません (not issued by these authorities)",
            )?;
        let issued = platform.ca.certificate(issuer.0, certificate.serial()).await?;
        if issued.der() != certificate.der() {
            return Err("同じ番号の別の証明書です (another certificate has this number)".into());
        }
        flows::revoke::revoke(&platform, issuer.0, certificate.serial(), reason, now()).await?;
        if let Some(out) = &arguments.out {
            papers::authorities(&platform, out).await?;
        }
        println!("失効させました: {}  {} (revoked)", certificate.subject(), reason.name());
        Ok(())
    })
}
