//! Reading elements with no tolerance for what does not belong there.

use crate::{Node, Refusal};

/// The element children, if there is nothing else but white space.
pub(super) fn elements<'d, 'a>(
    node: Node<'d, 'a>,
    wrong: Refusal,
) -> Result<Vec<Node<'d, 'a>>, Refusal> {
    let mut out = Vec::with_capacity(4);
    for child in node.children() {
        if child.is_element() {
            out.push(child);
        } else if !child.is_text()
            || !child
                .text()
                .is_some_and(|text| text.bytes().all(|octet| octet.is_ascii_whitespace()))
        {
            return Err(wrong);
        }
    }
    Ok(out)
}

/// Exactly these element children, by name, in one namespace.
pub(super) fn exactly<'d, 'a, const N: usize>(
    node: Node<'d, 'a>,
    namespace: &str,
    names: [&str; N],
    wrong: Refusal,
) -> Result<[Node<'d, 'a>; N], Refusal> {
    let found: [Node<'d, 'a>; N] = elements(node, wrong)?.try_into().map_err(|_| wrong)?;
    if found.iter().zip(names).all(|(node, name)| node.has_tag_name((namespace, name))) {
        Ok(found)
    } else {
        Err(wrong)
    }
}

/// The text, if there is nothing else.
pub(super) fn text<'d>(node: Node<'d, '_>, wrong: Refusal) -> Result<&'d str, Refusal> {
    let mut children = node.children();
    match (children.next(), children.next()) {
        (Some(child), None) if child.is_text() => child.text().ok_or(wrong),
        _ => Err(wrong),
    }
}

/// No attribute but these, none in a namespace.
pub(super) fn only_attributes(
    node: Node<'_, '_>,
    names: &[&str],
    wrong: Refusal,
) -> Result<(), Refusal> {
    let known = node
        .attributes()
        .all(|attribute| attribute.namespace().is_none() && names.contains(&attribute.name()));
    if known { Ok(()) } else { Err(wrong) }
}
