//! A parsed document that has passed the limits, and whose ids are unambiguous.

use std::collections::HashMap;

use roxmltree::{NodeId, ParsingOptions};

use crate::{Refusal, prescan};

/// An element, text, comment or processing instruction of a [`Document`].
pub type Node<'a, 'input> = roxmltree::Node<'a, 'input>;

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// An acceptable XML document: bounded, UTF-8, without DTD, each id on one element only.
pub struct Document<'a> {
    tree: roxmltree::Document<'a>,
    ids: HashMap<Box<str>, NodeId>,
    offset: usize,
}

/// Reads an XML document from outside.
///
/// Refused, each with its own code: more than 4 MiB; elements nested more than 64 deep; more than
/// 32 attributes or 16 namespace declarations on an element; more than 100,000 tags; octets other
/// than UTF-8; a DTD, with or without entities; anything not well-formed; an id on two elements, or
/// written as `id` here and `Id`, `ID` or `xml:id` there.
///
/// # Errors
/// The [`Refusal`] for the first of these that is met.
pub fn parse(octets: &[u8]) -> Result<Document<'_>, Refusal> {
    let (text, offset) = prescan::scan(octets)?;
    let options = ParsingOptions { nodes_limit: 400_000, ..ParsingOptions::default() };
    let tree =
        roxmltree::Document::parse_with_options(text, options).map_err(|error| match error {
            roxmltree::Error::DtdDetected => Refusal::XmlDtd,
            roxmltree::Error::NodesLimitReached => Refusal::XmlTooManyNodes,
            roxmltree::Error::AttributesLimitReached => Refusal::XmlTooManyAttributes,
            roxmltree::Error::NamespacesLimitReached => Refusal::XmlTooManyNamespaces,
            _ => Refusal::XmlMalformed,
        })?;
    let ids = ids(&tree)?;
    Ok(Document { tree, ids, offset })
}

/// Every id of the document. Documents write `id`, signatures write `Id`; a reader that registers
/// only one of them must find the same element as a reader that registers all, so the same value
/// in two spellings is refused like a duplicate, with its own code.
fn ids(tree: &roxmltree::Document<'_>) -> Result<HashMap<Box<str>, NodeId>, Refusal> {
    let mut ids: HashMap<Box<str>, (NodeId, &str)> = HashMap::new();
    for node in tree.descendants().filter(Node::is_element) {
        let mut seen = false;
        for attribute in node.attributes() {
            let is_id = match attribute.namespace() {
                None => matches!(attribute.name(), "id" | "Id" | "ID"),
                Some(namespace) => namespace == XML && attribute.name() == "id",
            };
            if !is_id {
                continue;
            }
            if seen {
                return Err(Refusal::IdAmbiguous);
            }
            seen = true;
            let spelling =
                if attribute.namespace().is_some() { "xml:id" } else { attribute.name() };
            if let Some((_, other)) = ids.insert(attribute.value().into(), (node.id(), spelling)) {
                return Err(if other == spelling {
                    Refusal::IdDuplicate
                } else {
                    Refusal::IdAmbiguous
                });
            }
        }
    }
    Ok(ids.into_iter().map(|(id, (node, _))| (id, node)).collect())
}

impl<'a> Document<'a> {
    /// The text, without a byte order mark. Positions of nodes count from its beginning.
    pub fn text(&self) -> &'a str {
        self.tree.input_text()
    }

    /// How many octets of byte order mark stood before [`Document::text`].
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The document itself: the parent of the root element and of what stands around it.
    pub fn root(&self) -> Node<'_, 'a> {
        self.tree.root()
    }

    /// The outermost element.
    pub fn root_element(&self) -> Node<'_, 'a> {
        self.tree.root_element()
    }

    /// The one element with this `id`, `Id`, `ID` or `xml:id`.
    pub fn by_id(&self, id: &str) -> Option<Node<'_, 'a>> {
        self.ids.get(id).and_then(|node| self.tree.get_node(*node))
    }

    /// Every element, in document order.
    pub fn elements(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        self.tree.descendants().filter(Node::is_element)
    }
}
