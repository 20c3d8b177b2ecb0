//! The papers that a demo leaves: certificates, lists, signed documents, report, journal.

use std::path::{Path, PathBuf};

use ca::Authority;

use crate::platform::Platform;
use crate::runtime::Stop;

/// Writes root, CA certificates and revocation lists.
pub(crate) async fn authorities(platform: &Platform, folder: &Path) -> Result<(), Stop> {
    for (authority, certificate) in platform.ca.authorities().await? {
        let name = match authority {
            Authority::Root => "root.pem".to_owned(),
            Authority::Signing(signing) => format!("ca-{}.pem", signing.name()),
            Authority::Authentication(_) => format!("ca-{}.pem", authority.name()),
            Authority::Facility => continue,
        };
        std::fs::write(folder.join(name), certificate.pem())?;
    }
    let crl = folder.join("crl");
    std::fs::create_dir_all(&crl)?;
    for (name, list) in platform.ca.lists().await? {
        if name != Authority::Facility.name() {
            std::fs::write(crl.join(format!("{name}.crl")), list.der())?;
        }
    }
    Ok(())
}

/// Copies those papers from one folder to another.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Stop> {
    for name in [
        "root.pem",
        "ca-jma.pem",
        "ca-jpa.pem",
        "ca-medis.pem",
        "ca-jma-auth.pem",
        "ca-jpa-auth.pem",
        "ca-medis-auth.pem",
    ] {
        std::fs::copy(from.join(name), to.join(name))?;
    }
    let crl = to.join("crl");
    std::fs::create_dir_all(&crl)?;
    for file in files(&from.join("crl"))? {
        if let Some(name) = file.file_name() {
            std::fs::copy(&file, crl.join(name))?;
        }
    }
    Ok(())
}

/// The files of a folder, in order.
pub(crate) fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();
    Ok(files)
}
