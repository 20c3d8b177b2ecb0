//! The XML around the records, built and extended by splicing octets only.
//!
//! ```text
//! Document id="Document"                                   xmlns:xsi, xsi:noNamespaceSchemaLocation
//! └ Prescription
//!    ├ PrescriptionManagement                              added by the service on registering
//!    ├ PrescriptionDocument id="PrescriptionDocument"      base64 of the record: what is signed
//!    ├ AdditionalPrescriptionInformation                   added by the service on registering
//!    └ PrescriptionSign                                    added by whoever has the signature
//!
//! Document id="Document"
//! ├ DispensingManagement
//! ├ Dispensing id="Dispensing"                             the whole element is signed
//! │  ├ ReferencePrescription                               the children of Prescription, as they were
//! │  └ DispensingDocument id="DispensingDocument"          base64 of the record
//! ├ AdditionalDispensedInformation                         added by the service on registering
//! └ DispensingSign
//! ```
//!
//! Reference 1 of both signatures has no transform, so its octets are inclusive C14N: namespace
//! declarations and `xml:` attributes of the ancestors are part of them. That is why the root
//! declares `xmlns:xsi` and nothing else, why `Prescription` and `Document` may carry nothing
//! further, and why a prescription can stand inside a dispensing result without a changed digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::kind::DocumentKind;

use crate::tree::{Element, Tree, splice};
use crate::{DispensingRecord, PrescriptionRecord, Refusal};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <Document id=\"Document\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
    xsi:noNamespaceSchemaLocation=";
const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// The unsigned document for a prescription record, which is read (and refused) first.
pub fn prescription(csv: &[u8]) -> Result<Vec<u8>, Refusal> {
    PrescriptionRecord::parse(csv)?;
    let mut out = String::with_capacity(csv.len() * 2 + 512);
    out.push_str(HEAD);
    out.push_str("\"EP.xsd\">\n<Prescription>\n");
    out.push_str("<PrescriptionDocument id=\"PrescriptionDocument\">");
    STANDARD.encode_string(csv, &mut out);
    out.push_str("</PrescriptionDocument>\n</Prescription>\n</Document>\n");
    Ok(out.into_bytes())
}

/// The unsigned document for a dispensing record over a registered prescription.
///
/// `ReferencePrescription` holds the children of the prescription's `Prescription` element octet
/// for octet. The record must name that prescription in its line 7. The identifier of the
/// dispensing result is given by the pharmacy side (our reading: published documents do not show
/// who gives it); it stands outside what is signed.
pub fn dispensing(
    registered_prescription: &[u8],
    csv: &[u8],
    dispensing_id: &str,
) -> Result<Vec<u8>, Refusal> {
    let record = DispensingRecord::parse(csv)?;
    let dispensing_id = uuid(dispensing_id, "the dispensing ID")?;
    let source = Parsed::parse(registered_prescription)?;
    if source.kind != DocumentKind::Prescription {
        return Err(Refusal::DocumentWrongKind { expected: DocumentKind::Prescription });
    }
    if !source.signed {
        return Err(Refusal::DocumentNotSigned);
    }
    let given = source.prescription_id.ok_or(Refusal::DocumentNotRegistered)?;
    if record.prescription_id() != given {
        let named = record.prescription_id().to_owned();
        return Err(Refusal::PrescriptionIdMismatch { named, given });
    }
    let tree = Tree::parse(registered_prescription)?;
    let children = Shape::of(&tree)?.body.inner_octets();

    let mut out = Vec::with_capacity(children.len() + csv.len() * 2 + 1024);
    out.extend_from_slice(HEAD.as_bytes());
    out.extend_from_slice(b"\"ED.xsd\">\n<DispensingManagement id=\"DispensingManagement\">");
    out.extend_from_slice(b"<Version Value=\"EPD1.0\"/><DispensingId Value=\"");
    out.extend_from_slice(dispensing_id.as_bytes());
    out.extend_from_slice(b"\"/></DispensingManagement>\n<Dispensing id=\"Dispensing\">\n");
    out.extend_from_slice(b"<ReferencePrescription>");
    out.extend_from_slice(children);
    out.extend_from_slice(b"</ReferencePrescription>\n");
    out.extend_from_slice(b"<DispensingDocument id=\"DispensingDocument\">");
    out.extend_from_slice(STANDARD.encode(csv).as_bytes());
    out.extend_from_slice(b"</DispensingDocument>\n</Dispensing>\n</Document>\n");
    Ok(out)
}

/// Splices the signature element into an unsigned document of this kind.
///
/// `signature_element` is one whole `ds:Signature` with its own namespace declarations, whose `Id`
/// is the one of this kind. Whether it signs anything is the verifier's question.
pub fn place_signature(
    document: &[u8],
    kind: DocumentKind,
    signature_element: &str,
) -> Result<Vec<u8>, Refusal> {
    let wrong = || Refusal::SignatureElementWrong(kind.signature_id());
    let element = signature_element.trim();
    {
        let tree = Tree::parse(element.as_bytes()).map_err(|_| wrong())?;
        let root = tree.root();
        // A leading declaration or comment would land in the middle of the document.
        let whole = root.octets().len() == element.len();
        let named = root.attribute("Id") == Some(kind.signature_id());
        if !whole || !named || !root.is(XMLDSIG, "Signature") {
            return Err(wrong());
        }
    }
    let tree = Tree::parse(document)?;
    let shape = Shape::of(&tree)?;
    shape.expect(kind)?;
    if shape.signature.is_some() {
        return Err(Refusal::DocumentAlreadySigned);
    }
    let name = kind.signature_id();
    let fragment = format!("<{name}>{element}</{name}>\n");
    let parent = match kind {
        DocumentKind::Prescription => shape.body,
        _ => tree.root(),
    };
    Ok(splice(document, &[(parent.inner_end(), &fragment)]))
}

/// One code conversion the service adds for a drug line. It stands outside what is signed.
///
/// Our reading: the attribute on the prescription side is called `PrescriptionDocumentCode` after
/// its model on the dispensing side, and the two converted codes are elements with text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The line of the record, from 1.
    pub csv_line: usize,
    /// The code as the record has it.
    pub code: String,
    /// The receipt-computer code it was converted to.
    pub re_code: Option<String>,
    /// The YJ code it was converted to.
    pub yj_code: Option<String>,
}

impl Conversion {
    fn element(&self, attribute: &str) -> String {
        let mut out = format!(
            "<ConversionPharmaceuticalCode CsvLineNo=\"{}\" {attribute}=\"{}\">",
            self.csv_line,
            escaped(&self.code)
        );
        for (name, code) in
            [("ConversionREcode", &self.re_code), ("ConversionYJcode", &self.yj_code)]
        {
            if let Some(code) = code {
                out.push_str(&format!("<{name}>{}</{name}>", escaped(code)));
            }
        }
        out.push_str("</ConversionPharmaceuticalCode>");
        out
    }
}

/// What the service adds to a signed prescription: its identifier and code conversions.
pub fn register_prescription(
    document: &[u8],
    prescription_id: &str,
    conversions: &[Conversion],
) -> Result<Vec<u8>, Refusal> {
    let prescription_id = uuid(prescription_id, "the prescription ID")?;
    let tree = Tree::parse(document)?;
    let shape = Shape::of(&tree)?;
    shape.expect(DocumentKind::Prescription)?;
    if shape.signature.is_none() {
        return Err(Refusal::DocumentNotSigned);
    }
    if shape.management.is_some() || shape.additional.is_some() {
        return Err(Refusal::DocumentAlreadyRegistered);
    }
    let management = format!(
        "<PrescriptionManagement id=\"PrescriptionManagement\"><Version Value=\"EPS1.0\"/>\
         <PrescriptionId Value=\"{prescription_id}\"/></PrescriptionManagement>\n"
    );
    let additional =
        additional("AdditionalPrescriptionInformation", conversions, "PrescriptionDocumentCode");
    let content = shape.content;
    Ok(splice(document, &[(content.start(), &management), (content.end(), &additional)]))
}

/// What the service adds to a signed dispensing result: code conversions.
pub fn register_dispensing(
    document: &[u8],
    conversions: &[Conversion],
) -> Result<Vec<u8>, Refusal> {
    let tree = Tree::parse(document)?;
    let shape = Shape::of(&tree)?;
    shape.expect(DocumentKind::Dispensing)?;
    if shape.signature.is_none() {
        return Err(Refusal::DocumentNotSigned);
    }
    if shape.additional.is_some() {
        return Err(Refusal::DocumentAlreadyRegistered);
    }
    let additional =
        additional("AdditionalDispensedInformation", conversions, "DispensingDocumentCode");
    Ok(splice(document, &[(shape.body.end(), &additional)]))
}

fn additional(name: &str, conversions: &[Conversion], attribute: &str) -> String {
    let mut out = format!("\n<{name} id=\"{name}\">");
    conversions.iter().for_each(|conversion| out.push_str(&conversion.element(attribute)));
    out.push_str(&format!("</{name}>"));
    out
}

/// A document read again: which kind it is, the records in it, its identifiers. Says nothing about
/// whether a signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Prescription or dispensing result.
    pub kind: DocumentKind,
    /// The octets of the record that this document's signature covers.
    pub csv: Vec<u8>,
    /// The prescription's identifier; in a dispensing result, that of the prescription inside.
    pub prescription_id: Option<String>,
    /// The dispensing result's identifier.
    pub dispensing_id: Option<String>,
    /// Whether a signature element is there.
    pub signed: bool,
    /// The record of the prescription inside a dispensing result.
    pub prescription_csv: Option<Vec<u8>>,
}

impl Parsed {
    /// Reads a prescription or dispensing document.
    pub fn parse(document: &[u8]) -> Result<Self, Refusal> {
        let tree = Tree::parse(document)?;
        let shape = Shape::of(&tree)?;
        let signed = shape.signature.is_some();
        let csv = content(shape.content, shape.kind)?;
        match shape.kind {
            DocumentKind::Prescription => Ok(Self {
                kind: shape.kind,
                csv,
                prescription_id: identifier(shape.management, "PrescriptionId")?,
                dispensing_id: None,
                signed,
                prescription_csv: None,
            }),
            _ => {
                let reference = shape.reference.ok_or(Refusal::DocumentMalformed(
                    "Dispensing without ReferencePrescription",
                ))?;
                let management = one(reference, "PrescriptionManagement")?;
                let inner = one(reference, "PrescriptionDocument")?
                    .ok_or(Refusal::DocumentMalformed("no PrescriptionDocument"))?;
                Ok(Self {
                    kind: shape.kind,
                    csv,
                    prescription_id: identifier(management, "PrescriptionId")?,
                    dispensing_id: identifier(shape.management, "DispensingId")?,
                    signed,
                    prescription_csv: Some(content(inner, DocumentKind::Prescription)?),
                })
            }
        }
    }
}

/// The elements of a document that this room knows by place.
struct Shape<'t, 'x> {
    kind: DocumentKind,
    /// `Prescription` or `Dispensing`.
    body: Element<'t, 'x>,
    /// `PrescriptionDocument` or `DispensingDocument`.
    content: Element<'t, 'x>,
    management: Option<Element<'t, 'x>>,
    additional: Option<Element<'t, 'x>>,
    signature: Option<Element<'t, 'x>>,
    reference: Option<Element<'t, 'x>>,
}

impl<'t, 'x> Shape<'t, 'x> {
    fn of(tree: &'t Tree<'x>) -> Result<Self, Refusal> {
        let root = tree.root();
        if !root.is("", "Document") || root.attribute("id") != Some("Document") {
            return Err(Refusal::DocumentMalformed("the root is not Document id=\"Document\""));
        }
        root.only_xsi("Document")?;
        let prescription = one(root, "Prescription")?;
        let dispensing = one(root, "Dispensing")?;
        let shape = match (prescription, dispensing) {
            (Some(body), None) => {
                known(root, &["Prescription"])?;
                known(
                    body,
                    &[
                        "PrescriptionManagement",
                        "PrescriptionDocument",
                        "AdditionalPrescriptionInformation",
                        "PrescriptionSign",
                    ],
                )?;
                if !body.is_bare() {
                    return Err(Refusal::DocumentNamespacesWrong("Prescription"));
                }
                Self {
                    kind: DocumentKind::Prescription,
                    body,
                    content: one(body, "PrescriptionDocument")?
                        .ok_or(Refusal::DocumentMalformed("no PrescriptionDocument"))?,
                    management: one(body, "PrescriptionManagement")?,
                    additional: one(body, "AdditionalPrescriptionInformation")?,
                    signature: one(body, "PrescriptionSign")?,
                    reference: None,
                }
            }
            (None, Some(body)) => {
                known(
                    root,
                    &[
                        "DispensingManagement",
                        "Dispensing",
                        "AdditionalDispensedInformation",
                        "DispensingSign",
                    ],
                )?;
                known(body, &["ReferencePrescription", "DispensingDocument"])?;
                Self {
                    kind: DocumentKind::Dispensing,
                    body,
                    content: one(body, "DispensingDocument")?
                        .ok_or(Refusal::DocumentMalformed("no DispensingDocument"))?,
                    management: one(root, "DispensingManagement")?,
                    additional: one(root, "AdditionalDispensedInformation")?,
                    signature: one(root, "DispensingSign")?,
                    reference: one(body, "ReferencePrescription")?,
                }
            }
            _ => return Err(Refusal::DocumentMalformed("not one of Prescription, Dispensing")),
        };
        let signed = match shape.kind {
            DocumentKind::Prescription => shape.content,
            _ => shape.body,
        };
        if signed.attribute("id") != Some(shape.kind.signed_id()) {
            return Err(Refusal::DocumentMalformed("the signed element has not its id"));
        }
        Ok(shape)
    }

    fn expect(&self, kind: DocumentKind) -> Result<(), Refusal> {
        if self.kind == kind { Ok(()) } else { Err(Refusal::DocumentWrongKind { expected: kind }) }
    }
}

fn one<'t, 'x>(parent: Element<'t, 'x>, name: &str) -> Result<Option<Element<'t, 'x>>, Refusal> {
    let mut found = parent.children().filter(|child| child.is("", name));
    let first = found.next();
    if found.next().is_some() {
        return Err(Refusal::DocumentMalformed("an element stands twice"));
    }
    Ok(first)
}

fn known(parent: Element<'_, '_>, names: &[&str]) -> Result<(), Refusal> {
    if parent.children().all(|child| names.iter().any(|name| child.is("", name))) {
        Ok(())
    } else {
        Err(Refusal::DocumentMalformed("an element that has no place here"))
    }
}

fn content(element: Element<'_, '_>, kind: DocumentKind) -> Result<Vec<u8>, Refusal> {
    let name = match kind {
        DocumentKind::Prescription => "PrescriptionDocument",
        _ => "DispensingDocument",
    };
    // Only text may stand here. A comment is left out of what is signed, so a reader that stops
    // at one would see another record than the physician signed.
    let text = element.text_only().ok_or(Refusal::DocumentMalformed("content that is not text"))?;
    let packed: Vec<u8> =
        text.bytes().filter(|octet| !matches!(octet, b' ' | b'\t' | b'\n' | b'\r')).collect();
    STANDARD.decode(packed).map_err(|_| Refusal::DocumentContentNotBase64(name))
}

fn identifier(
    management: Option<Element<'_, '_>>,
    name: &'static str,
) -> Result<Option<String>, Refusal> {
    let Some(management) = management else { return Ok(None) };
    let Some(element) = one(management, name)? else { return Ok(None) };
    let value = element.attribute("Value").unwrap_or("");
    uuid(value, name).map(|id| Some(id.to_owned()))
}

/// A UUID as people write it: 8-4-4-4-12 hexadecimal digits.
fn uuid<'a>(text: &'a str, what: &'static str) -> Result<&'a str, Refusal> {
    let right = text.len() == 36
        && text.bytes().enumerate().all(|(position, octet)| match position {
            8 | 13 | 18 | 23 => octet == b'-',
            _ => octet.is_ascii_hexdigit(),
        });
    if right { Ok(text) } else { Err(Refusal::IdentifierMalformed(what)) }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
