//! `azukari revoke`: the operator revokes a certificate.
//!
//! A running platform is asked through its own account's socket; one that is stopped is opened for
//! it. What the other rooms must hear is delivered before the command ends, or at the platform's
//! next start: the key concerned signs nothing from the authority's commit on.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use hpki::certificate::Certificate;
use hpki::crl::Reason;
use serde::{Deserialize, Serialize};
use wire::Base64;

use crate::clock::now;
use crate::config::PlatformConfig;
use crate::demo::papers;
use crate::flows;
use crate::officer::door::{Caller, Reply, Request};
use crate::officer::say;
use crate::platform::{Platform, open};
use crate::runtime::Stop;

/// Flags of `azukari revoke`.
#[derive(Args)]
pub(crate) struct RevokeArguments {
    /// 基盤の設定ファイル。基盤は動いたままでよい (the platform's configuration; it may be running)
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

/// What is to be revoked, and why.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    /// DER.
    certificate: Base64,
    /// As RFC 5280 names it.
    reason: String,
    /// Where the new lists are written.
    out: Option<PathBuf>,
}

/// Has the running platform revoke it, or opens it for that.
pub(crate) fn run(arguments: RevokeArguments) -> ExitCode {
    crate::runtime::run(async move {
        let certificate = crate::verify::certificate(&arguments.certificate)?;
        let revocation = Revocation {
            certificate: Base64(certificate.der().to_vec()),
            reason: arguments.reason,
            out: arguments.out.map(std::path::absolute).transpose()?,
        };
        let config = PlatformConfig::load(&arguments.config)?;
        let said = match Caller::knock(&config.officers_socket).await {
            Ok((_, greeting)) if !greeting.open => {
                return Err(say::refused("platform-sealed", "shares are awaited there"));
            }
            Ok((mut caller, _)) => match caller.ask(&Request::Revoke(revocation)).await? {
                Reply::Done(said) => said,
                other => return Err(format!("{other:?}").into()),
            },
            Err(_) => revocation.carry_out(&open::open(config).await?).await?,
        };
        println!("{said}");
        Ok(())
    })
}

impl Revocation {
    /// Revokes, delivers, publishes.
    pub(crate) async fn carry_out(&self, platform: &Platform) -> Result<String, Stop> {
        let certificate = Certificate::from_der(&self.certificate.0)?;
        let reason = Reason::from_name(&self.reason)
            .ok_or_else(|| format!("理由 {:?} はありません (no such reason)", self.reason))?;
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
        flows::revoke::revoke(platform, issuer.0, certificate.serial(), reason, now()).await?;
        if let Some(out) = &self.out {
            papers::authorities(platform, out).await?;
        }
        Ok(format!("失効させました: {}  {} (revoked)", certificate.subject(), reason.name()))
    }
}
