//! Canonical XML: the octets that are digested and signed.
//!
//! Canonical XML 1.0, 1.1 and Exclusive XML Canonicalization 1.0, each with and without comments,
//! of a whole document or of one element with everything inside it. Other node-sets (XPath
//! filters) are outside the profile of prescriptions and cannot be asked for.

mod base;

use std::borrow::Cow;

use crate::{Document, Node};

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A canonicalization method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Canonical XML 1.0.
    Inclusive10,
    /// Canonical XML 1.0 with comments.
    Inclusive10Comments,
    /// Canonical XML 1.1.
    Inclusive11,
    /// Canonical XML 1.1 with comments.
    Inclusive11Comments,
    /// Exclusive XML Canonicalization 1.0.
    Exclusive,
    /// Exclusive XML Canonicalization 1.0 with comments.
    ExclusiveComments,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 6] = [
        Self::Inclusive10,
        Self::Inclusive10Comments,
        Self::Inclusive11,
        Self::Inclusive11Comments,
        Self::Exclusive,
        Self::ExclusiveComments,
    ];

    /// The algorithm identifier.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Inclusive10 => "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
            Self::Inclusive10Comments => {
                "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
            }
            Self::Inclusive11 => "http://www.w3.org/2006/12/xml-c14n11",
            Self::Inclusive11Comments => "http://www.w3.org/2006/12/xml-c14n11#WithComments",
            Self::Exclusive => "http://www.w3.org/2001/10/xml-exc-c14n#",
            Self::ExclusiveComments => "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        }
    }

    /// The method with this algorithm identifier.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.uri() == uri)
    }

    const fn comments(self) -> bool {
        matches!(
            self,
            Self::Inclusive10Comments | Self::Inclusive11Comments | Self::ExclusiveComments
        )
    }

    const fn exclusive(self) -> bool {
        matches!(self, Self::Exclusive | Self::ExclusiveComments)
    }

    const fn version_11(self) -> bool {
        matches!(self, Self::Inclusive11 | Self::Inclusive11Comments)
    }
}

/// The canonical octets of the whole document, or of one element with everything inside it.
///
/// `prefix_list` is the PrefixList of exclusive canonicalization (`#default` for the default
/// namespace); the inclusive methods ignore it.
pub fn canonicalize(
    document: &Document<'_>,
    subtree: Option<Node<'_, '_>>,
    method: Method,
    prefix_list: &[&str],
) -> Vec<u8> {
    let mut writer = Writer {
        text: document.text(),
        method,
        prefix_list,
        rendered: Vec::with_capacity(8),
        out: String::with_capacity(
            subtree.map_or(document.text().len(), |node| node.range().len()) + 128,
        ),
    };
    match subtree {
        Some(node) if !node.is_root() => writer.node(node, true),
        _ => writer.document(document.root()),
    }
    writer.out.into_bytes()
}

struct Writer<'t, 'a> {
    text: &'t str,
    method: Method,
    prefix_list: &'t [&'t str],
    /// Namespace declarations written by the elements around the present one: prefix (empty for
    /// the default namespace) and name, innermost last.
    rendered: Vec<(&'a str, &'a str)>,
    out: String,
}

impl<'a> Writer<'_, 'a> {
    /// Comments and processing instructions around the root element stand on lines of their own.
    fn document(&mut self, root: Node<'a, '_>) {
        let mut after_root = false;
        for child in root.children() {
            if child.is_text() || (child.is_comment() && !self.method.comments()) {
                continue;
            }
            if child.is_element() {
                self.node(child, false);
                after_root = true;
                continue;
            }
            if after_root {
                self.out.push('\n');
            }
            self.node(child, false);
            if !after_root {
                self.out.push('\n');
            }
        }
    }

    fn node(&mut self, node: Node<'a, '_>, apex: bool) {
        if node.is_element() {
            self.element(node, apex);
        } else if node.is_text() {
            let text = self.content(node);
            push_text(&mut self.out, &text);
        } else if node.is_comment() {
            if self.method.comments() {
                self.out.push_str("<!--");
                push_lines(&mut self.out, node.text().unwrap_or_default());
                self.out.push_str("-->");
            }
        } else if let Some(pi) = node.pi() {
            self.out.push_str("<?");
            self.out.push_str(pi.target);
            if let Some(value) = pi.value.filter(|value| !value.is_empty()) {
                self.out.push(' ');
                push_lines(&mut self.out, value);
            }
            self.out.push_str("?>");
        }
    }

    fn element(&mut self, element: Node<'a, '_>, apex: bool) {
        let name = qname(self.text, element.range().start);
        let outer = self.rendered.len();
        self.out.push('<');
        self.out.push_str(name);
        self.namespaces(element, name);
        self.attributes(element, apex);
        self.out.push('>');
        for child in element.children() {
            self.node(child, false);
        }
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
        self.rendered.truncate(outer);
    }

    /// Writes the declarations that no element around has written, sorted by prefix.
    fn namespaces(&mut self, element: Node<'a, '_>, name: &str) {
        let used = |prefix: &str| {
            let inclusive = if prefix.is_empty() { "#default" } else { prefix };
            self.prefix_list.contains(&inclusive)
                || prefix == prefix_of(name)
                || (!prefix.is_empty()
                    && element
                        .attributes()
                        .any(|attribute| prefix == prefix_of(&self.text[attribute.range_qname()])))
        };
        let outer = self.rendered.len();
        let mut default = "";
        for namespace in element.namespaces() {
            let prefix = namespace.name().unwrap_or_default();
            if prefix == "xml" {
                continue;
            }
            // The lifetime of the name is that of the document, which outlives the node.
            let uri = uri_of(element, namespace.name());
            if prefix.is_empty() {
                default = uri;
                continue;
            }
            if self.method.exclusive() && !used(prefix) {
                continue;
            }
            if self.in_force(outer, prefix) != Some(uri) {
                self.rendered.push((prefix, uri));
            }
        }
        if (!self.method.exclusive() || used(""))
            && self.in_force(outer, "").unwrap_or_default() != default
        {
            self.rendered.push(("", default));
        }
        self.rendered[outer..].sort_unstable_by_key(|(prefix, _)| *prefix);
        for (prefix, uri) in &self.rendered[outer..] {
            self.out.push_str(" xmlns");
            if !prefix.is_empty() {
                self.out.push(':');
                self.out.push_str(prefix);
            }
            self.out.push_str("=\"");
            push_attribute(&mut self.out, uri);
            self.out.push('"');
        }
    }

    fn in_force(&self, outer: usize, prefix: &str) -> Option<&'a str> {
        self.rendered[..outer].iter().rev().find(|(p, _)| *p == prefix).map(|(_, uri)| *uri)
    }

    /// Writes the attributes sorted by namespace name and local name; an apex of the inclusive
    /// methods also carries the `xml:` attributes of the elements around it.
    fn attributes(&mut self, element: Node<'a, '_>, apex: bool) {
        let mut attributes: Vec<(&str, &str, &str, Cow<'_, str>)> = element
            .attributes()
            .map(|attribute| {
                (
                    attribute.namespace().unwrap_or_default(),
                    attribute.name(),
                    &self.text[attribute.range_qname()],
                    Cow::Borrowed(attribute.value()),
                )
            })
            .collect();
        if apex && !self.method.exclusive() {
            self.inherit(element, &mut attributes);
        }
        attributes.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        for (_, _, name, value) in &attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            push_attribute(&mut self.out, value);
            self.out.push('"');
        }
    }

    fn inherit<'n>(
        &self,
        element: Node<'a, '_>,
        attributes: &mut Vec<(&'n str, &'n str, &'n str, Cow<'n, str>)>,
    ) where
        'a: 'n,
    {
        let mut bases: Vec<&'a str> = Vec::new();
        for ancestor in element.ancestors().skip(1) {
            for attribute in ancestor.attributes() {
                if attribute.namespace() != Some(XML) {
                    continue;
                }
                // Borrowed for as long as the tree, not only for this iteration.
                let Some(value) = ancestor.attribute((XML, attribute.name())) else { continue };
                let name = match (attribute.name(), self.method.version_11()) {
                    ("base", true) => {
                        bases.push(value);
                        continue;
                    }
                    ("id", true) => continue,
                    ("lang", _) => "lang",
                    ("space", _) => "space",
                    ("base", false) => "base",
                    ("id", false) => "id",
                    // Version 1.1 passes on no other attribute of the xml namespace (§2.4), and
                    // XML defines none that version 1.0 could meet.
                    _ => continue,
                };
                if !attributes.iter().any(|(uri, local, ..)| *uri == XML && *local == name) {
                    let qname = match name {
                        "lang" => "xml:lang",
                        "space" => "xml:space",
                        "base" => "xml:base",
                        _ => "xml:id",
                    };
                    attributes.push((XML, name, qname, Cow::Borrowed(value)));
                }
            }
        }
        if bases.is_empty() {
            return;
        }
        let own = attributes.iter().position(|(uri, local, ..)| *uri == XML && *local == "base");
        let mut joined = String::new();
        for outer in bases.iter().rev() {
            joined = base::join(&joined, outer);
        }
        if let Some(own) = own {
            joined = base::join(&joined, &attributes[own].3);
            attributes.swap_remove(own);
        }
        if !joined.is_empty() {
            attributes.push((XML, "base", "xml:base", Cow::Owned(joined)));
        }
    }

    /// The characters of a text node, which may be made of several pieces of text and CDATA.
    ///
    /// Where a carriage return stands in the source, the pieces are read here: the parser leaves
    /// one that meets a character reference as it is, but XML makes it a line feed (§2.11).
    fn content(&self, node: Node<'a, '_>) -> Cow<'a, str> {
        let text = node.text().unwrap_or_default();
        let start = node.range().start;
        let Some(end) = text_end(self.text, node) else { return Cow::Borrowed(text) };
        let source = &self.text[start..end];
        if source.contains('\r') { Cow::Owned(read_text(source)) } else { Cow::Borrowed(text) }
    }
}

/// Where the source of a text node ends: its range covers only the first piece.
fn text_end(text: &str, node: Node<'_, '_>) -> Option<usize> {
    match node.next_sibling() {
        Some(next) => Some(next.range().start),
        None => {
            let parent = node.parent()?.range();
            text[parent.clone()].rfind("</").map(|at| parent.start + at)
        }
    }
}

/// Reads text and CDATA sections with their line ends and references, XML 1.0 §2.11 and §4.1.
fn read_text(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find(['\r', '&', '<']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(cdata) = rest.strip_prefix("<![CDATA[") {
            let end = cdata.find("]]>").unwrap_or(cdata.len());
            push_lines(&mut out, &cdata[..end]);
            rest = cdata.get(end + 3..).unwrap_or_default();
        } else if let Some(reference) = rest.strip_prefix('&') {
            let end = reference.find(';').unwrap_or(reference.len());
            out.extend(character(&reference[..end]));
            rest = reference.get(end + 1..).unwrap_or_default();
        } else if let Some(after) = rest.strip_prefix('\r') {
            out.push('\n');
            rest = after.strip_prefix('\n').unwrap_or(after);
        } else {
            // The parser lets no other `<` stand in text.
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = reference.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

fn uri_of<'a>(element: Node<'a, '_>, prefix: Option<&str>) -> &'a str {
    element.lookup_namespace_uri(prefix).unwrap_or_default()
}

/// The name as written in the start tag at this position, with its prefix.
fn qname(text: &str, start: usize) -> &str {
    let name = &text[start + 1..];
    let end = name.find([' ', '\t', '\n', '\r', '/', '>']).unwrap_or(name.len());
    &name[..end]
}

fn prefix_of(qname: &str) -> &str {
    qname.split_once(':').map_or("", |(prefix, _)| prefix)
}

fn push_text(out: &mut String, text: &str) {
    push_escaped(out, text, |octet| match octet {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    });
}

fn push_attribute(out: &mut String, value: &str) {
    push_escaped(out, value, |octet| match octet {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'"' => Some("&quot;"),
        b'\t' => Some("&#x9;"),
        b'\n' => Some("&#xA;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    });
}

/// Comments and processing instructions keep their characters; only line ends are made plain.
fn push_lines(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\r') {
        out.push_str(line);
        out.push('\n');
        rest = after.strip_prefix('\n').unwrap_or(after);
    }
    out.push_str(rest);
}

fn push_escaped(out: &mut String, text: &str, escape: impl Fn(u8) -> Option<&'static str>) {
    let mut from = 0;
    for (at, octet) in text.bytes().enumerate() {
        if let Some(replacement) = escape(octet) {
            out.push_str(&text[from..at]);
            out.push_str(replacement);
            from = at + 1;
        }
    }
    out.push_str(&text[from..]);
}
