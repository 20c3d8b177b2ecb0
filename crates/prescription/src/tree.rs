//! Where elements stand in the octets of a document: the little of XML that splicing needs.

use roxmltree::NodeType;
use xades::Node;

use crate::Refusal;

/// A parsed document together with its octets; parsing is bounded by the room `xades`.
pub(crate) struct Tree<'x>(xades::Document<'x>);

/// One element of it.
#[derive(Clone, Copy)]
pub(crate) struct Element<'t, 'x> {
    /// The text without a byte order mark, which is what the parser counts from.
    text: &'x str,
    /// Octets before that text.
    offset: usize,
    node: Node<'t, 'x>,
}

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

impl<'x> Tree<'x> {
    pub(crate) fn parse(octets: &'x [u8]) -> Result<Self, Refusal> {
        Ok(Self(xades::parse(octets)?))
    }

    pub(crate) fn root(&self) -> Element<'_, 'x> {
        let (text, offset) = (self.0.text(), self.0.offset());
        Element { text, offset, node: self.0.root_element() }
    }
}

impl<'t, 'x> Element<'t, 'x> {
    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.node.tag_name().name() == name
            && self.node.tag_name().namespace().unwrap_or("") == namespace
    }

    /// The value of an attribute in no namespace.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'t str> {
        self.node
            .attributes()
            .find(|attribute| attribute.namespace().is_none() && attribute.name() == name)
            .map(|attribute| attribute.value())
    }

    pub(crate) fn children(self) -> impl Iterator<Item = Element<'t, 'x>> {
        let Self { text, offset, node } = self;
        node.children().filter(Node::is_element).map(move |node| Element { text, offset, node })
    }

    /// Its text, if it contains nothing but text.
    pub(crate) fn text_only(&self) -> Option<String> {
        let mut out = String::new();
        for child in self.node.children() {
            match child.node_type() {
                NodeType::Text => out.push_str(child.text()?),
                _ => return None,
            }
        }
        Some(out)
    }

    /// Whether it has neither attribute nor namespace declaration of its own.
    pub(crate) fn is_bare(&self) -> bool {
        // Asked of the octets: a declaration that only repeats an inherited one leaves no trace in
        // the parsed tree.
        self.node.attributes().len() == 0
            && !self.start_tag().windows(5).any(|window| window == b"xmlns")
    }

    /// Refuses the root unless it declares `xmlns:xsi` only and carries only `id` and
    /// `xsi:noNamespaceSchemaLocation`.
    pub(crate) fn only_xsi(&self, name: &'static str) -> Result<(), Refusal> {
        let declared = self.node.namespaces();
        let mut declared = declared.filter(|namespace| namespace.name() != Some("xml"));
        let xsi = declared.next();
        let right = xsi.is_some_and(|n| n.name() == Some("xsi") && n.uri() == XSI)
            && declared.next().is_none()
            && self.node.attributes().all(|attribute| match attribute.namespace() {
                None => attribute.name() == "id",
                Some(XSI) => attribute.name() == "noNamespaceSchemaLocation",
                Some(_) => false,
            });
        if right { Ok(()) } else { Err(Refusal::DocumentNamespacesWrong(name)) }
    }

    pub(crate) fn start(&self) -> usize {
        self.node.range().start + self.offset
    }

    pub(crate) fn end(&self) -> usize {
        self.node.range().end + self.offset
    }

    pub(crate) fn octets(&self) -> &'x [u8] {
        self.text.get(self.node.range()).unwrap_or_default().as_bytes()
    }

    fn start_tag(&self) -> &'x [u8] {
        let octets = self.octets();
        let mut quote = None;
        for (position, octet) in octets.iter().enumerate() {
            match (quote, octet) {
                (None, b'>') => return &octets[..=position],
                (None, b'"' | b'\'') => quote = Some(*octet),
                (Some(open), octet) if open == *octet => quote = None,
                _ => {}
            }
        }
        octets
    }

    fn end_tag_length(&self) -> usize {
        let octets = self.octets();
        // An end tag contains no '<' but its own, so the last one begins it; an element without an
        // end tag ends in "/>" and its last '<' is its own start.
        match octets.iter().rposition(|octet| *octet == b'<') {
            Some(position) if octets.get(position + 1) == Some(&b'/') => octets.len() - position,
            _ => 0,
        }
    }

    /// Where its content ends: before its end tag. Asked only of elements that have children.
    pub(crate) fn inner_end(&self) -> usize {
        self.end() - self.end_tag_length()
    }

    /// The octets between its start tag and its end tag.
    pub(crate) fn inner_octets(&self) -> &'x [u8] {
        let octets = self.octets();
        let to = octets.len() - self.end_tag_length();
        octets.get(self.start_tag().len()..to).unwrap_or_default()
    }
}

/// Copies the document and puts each fragment at its place; places ascend.
pub(crate) fn splice(document: &[u8], insertions: &[(usize, &str)]) -> Vec<u8> {
    let added: usize = insertions.iter().map(|(_, fragment)| fragment.len()).sum();
    let mut out = Vec::with_capacity(document.len() + added);
    let mut from = 0;
    for (at, fragment) in insertions {
        out.extend_from_slice(&document[from..*at]);
        out.extend_from_slice(fragment.as_bytes());
        from = *at;
    }
    out.extend_from_slice(&document[from..]);
    out
}
