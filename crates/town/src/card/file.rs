//! Elementary files of a card and reading them (ISO 7816-4 §7.2, READ BINARY).

use super::apdu::{Command, Outcome, Status};

/// A file that can be read.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) id: u16,
    /// Short identifier, 1 to 30.
    pub(super) short: Option<u8>,
    pub(super) content: Vec<u8>,
}

/// READ BINARY: by short identifier or from the selected file. Gives the file it read from, which
/// is selected from now on, and the data.
pub(super) fn read_binary(
    files: &[File],
    selected: Option<u16>,
    command: &Command,
) -> Result<(u16, Vec<u8>), Status> {
    let by_short = command.p1 & 0x80 != 0;
    let file = if by_short {
        let short = command.p1 & 0x1f;
        files.iter().find(|file| file.short == Some(short)).ok_or(Status::NO_FILE)?
    } else {
        let id = selected.ok_or(Status::NO_FILE_SELECTED)?;
        files.iter().find(|file| file.id == id).ok_or(Status::NO_FILE_SELECTED)?
    };
    let offset = if by_short {
        usize::from(command.p2)
    } else {
        usize::from(u16::from_be_bytes([command.p1, command.p2]))
    };
    let rest = file.content.get(offset..).ok_or(Status::WRONG_OFFSET)?;
    if rest.is_empty() {
        return Err(Status::WRONG_OFFSET);
    }
    let expected = command.expected.ok_or(Status::WRONG_LENGTH)?;
    Ok((file.id, rest[..rest.len().min(expected)].to_vec()))
}

/// What SELECT answers about an application, where the caller asks for it: `6F { 84 name }`.
pub(super) fn control_information(name: &[u8], p2: u8) -> Outcome {
    if p2 & 0x0c == 0x0c {
        return Ok(Vec::new());
    }
    Ok(hpki::asn1::tlv(0x6f, &hpki::asn1::tlv(0x84, name)))
}
