//! Where things stand in prescriptions and dispensing results.
//!
//! A signature is believed only about the element at the one place where every reader looks for
//! it. Names that carry meaning may therefore occur once in the whole document, whatever their
//! namespace, so that no reader can be led to another element of the same name.

use hpki::kind::DocumentKind;

use crate::{DS, Document, Node, Refusal};

/// A place of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// `Document/Prescription/PrescriptionSign`
    Prescription,
    /// `Document/DispensingSign`
    Dispensing,
    /// `Document/Dispensing/ReferencePrescription/PrescriptionSign`: the prescription that a
    /// dispensing result answers.
    NestedPrescription,
}

impl Place {
    /// What is signed there.
    pub const fn kind(self) -> DocumentKind {
        match self {
            Self::Dispensing => DocumentKind::Dispensing,
            Self::Prescription | Self::NestedPrescription => DocumentKind::Prescription,
        }
    }

    /// The names from the outermost element to the one that holds both the signed element and the
    /// element around the signature.
    const fn parents(self) -> &'static [&'static str] {
        match self {
            Self::Prescription => &["Document", "Prescription"],
            Self::Dispensing => &["Document"],
            Self::NestedPrescription => &["Document", "Dispensing", "ReferencePrescription"],
        }
    }

    /// Whether this is a signature element at this place.
    fn holds(self, signature: Node<'_, '_>) -> bool {
        signature
            .parent_element()
            .is_some_and(|sign| is_plain(sign, self.kind().signature_id()) && self.is_inside(sign))
    }

    fn is_inside(self, element: Node<'_, '_>) -> bool {
        let mut around = element.ancestors().skip(1).filter(Node::is_element);
        self.parents()
            .iter()
            .rev()
            .all(|name| around.next().is_some_and(|node| is_plain(node, name)))
            && around.next().is_none()
    }
}

/// An element of this name in no namespace.
fn is_plain(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node.tag_name().namespace().is_none_or(str::is_empty)
}

/// The kind of a document, from its shape.
///
/// # Errors
/// `document-shape-wrong`: neither a prescription nor a dispensing result, or an element with a
/// meaning stands elsewhere or twice.
pub fn kind_of(document: &Document<'_>) -> Result<DocumentKind, Refusal> {
    let root = document.root_element();
    if !is_plain(root, "Document") {
        return Err(Refusal::DocumentShapeWrong);
    }
    let has = |name| root.children().any(|child| is_plain(child, name));
    let (kind, once, never): (_, &[_], &[_]) = match (has("Prescription"), has("Dispensing")) {
        (true, false) => (
            DocumentKind::Prescription,
            &["Document", "Prescription", "PrescriptionDocument"],
            &["Dispensing", "DispensingDocument", "ReferencePrescription"],
        ),
        (false, true) => (
            DocumentKind::Dispensing,
            &[
                "Document",
                "Dispensing",
                "DispensingDocument",
                "ReferencePrescription",
                "PrescriptionDocument",
            ],
            &["Prescription"],
        ),
        _ => return Err(Refusal::DocumentShapeWrong),
    };
    let count =
        |name: &str| document.elements().filter(|node| node.tag_name().name() == name).count();
    if once.iter().any(|name| count(name) != 1)
        || never.iter().any(|name| count(name) != 0)
        || count("PrescriptionSign") > 1
        || count("DispensingSign") > 1
    {
        return Err(Refusal::DocumentShapeWrong);
    }
    Ok(kind)
}

/// The signature element at this place, after judging all signature elements of the document.
pub(crate) fn signature_at<'d, 'a>(
    document: &'d Document<'a>,
    place: Place,
) -> Result<Node<'d, 'a>, Refusal> {
    let kind = kind_of(document)?;
    let others: &[Place] = match (kind, place) {
        (DocumentKind::Prescription, Place::Prescription) => &[],
        (DocumentKind::Dispensing, Place::Dispensing) => &[Place::NestedPrescription],
        (DocumentKind::Dispensing, Place::NestedPrescription) => &[Place::Dispensing],
        _ => return Err(Refusal::DocumentShapeWrong),
    };
    let mut found = None;
    let (mut here, mut stray) = (0, 0);
    for node in document.elements().filter(|node| node.has_tag_name((DS, "Signature"))) {
        if place.holds(node) {
            found = Some(node);
            here += 1;
        } else if !others.iter().any(|other| other.holds(node)) {
            stray += 1;
        }
    }
    match (found, here, stray) {
        (Some(node), 1, 0) => Ok(node),
        (Some(_), ..) => Err(Refusal::SignatureMany),
        (None, _, 0) => Err(Refusal::SignatureMissing),
        (None, ..) => Err(Refusal::SignatureMisplaced),
    }
}

/// The element that a signature at this place must be about.
pub(crate) fn signed_at<'d, 'a>(
    document: &'d Document<'a>,
    place: Place,
) -> Result<Node<'d, 'a>, Refusal> {
    let mut found = document
        .elements()
        .filter(|node| is_plain(*node, place.kind().signed_id()) && place.is_inside(*node));
    match (found.next(), found.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(Refusal::DocumentShapeWrong),
    }
}
