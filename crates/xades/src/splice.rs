//! Putting octets between octets. Whoever adds to a signed document must not write it anew: only
//! so is it certain that what was signed stays as it was, octet for octet.
//!
//! A place is named by an id (`#Dispensing`) or by the names from the outermost element on
//! (`Document/Prescription`); it must occur exactly once.

use std::ops::Range;

use crate::{Document, Node, Refusal, parse};

/// The document with the fragment before the end tag of the element.
///
/// # Errors
/// The document is not acceptable, or the place is not there exactly once (`place-unknown`).
pub fn insert_before_end(octets: &[u8], place: &str, fragment: &[u8]) -> Result<Vec<u8>, Refusal> {
    let element = locate(octets, place)?;
    Ok(match element.content {
        Some(content) => insert(octets, content.end, fragment),
        None => open_up(octets, &element, fragment),
    })
}

/// The document with the fragment right after the start tag of the element.
///
/// # Errors
/// As [`insert_before_end`].
pub fn insert_after_start(octets: &[u8], place: &str, fragment: &[u8]) -> Result<Vec<u8>, Refusal> {
    let element = locate(octets, place)?;
    Ok(match element.content {
        Some(content) => insert(octets, content.start, fragment),
        None => open_up(octets, &element, fragment),
    })
}

/// The document with the fragment before the element.
///
/// # Errors
/// As [`insert_before_end`].
pub fn insert_before(octets: &[u8], place: &str, fragment: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(insert(octets, locate(octets, place)?.whole.start, fragment))
}

/// The document with the fragment after the element.
///
/// # Errors
/// As [`insert_before_end`].
pub fn insert_after(octets: &[u8], place: &str, fragment: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(insert(octets, locate(octets, place)?.whole.end, fragment))
}

/// The octets of the element, tags included.
///
/// # Errors
/// As [`insert_before_end`].
pub fn element<'o>(octets: &'o [u8], place: &str) -> Result<&'o [u8], Refusal> {
    Ok(&octets[locate(octets, place)?.whole])
}

/// The octets between the tags of the element.
///
/// # Errors
/// As [`insert_before_end`].
pub fn content<'o>(octets: &'o [u8], place: &str) -> Result<&'o [u8], Refusal> {
    Ok(locate(octets, place)?.content.map_or(&[], |content| &octets[content]))
}

struct Located {
    whole: Range<usize>,
    /// Between the tags; `None` for `<a/>`.
    content: Option<Range<usize>>,
    name: String,
}

fn locate(octets: &[u8], place: &str) -> Result<Located, Refusal> {
    let document = parse(octets)?;
    let node = find(&document, place).ok_or(Refusal::PlaceUnknown)?;
    let (range, offset) = (node.range(), document.offset());
    let source = document.text().get(range.clone()).unwrap_or_default();
    let name = source.get(1..).unwrap_or_default();
    let name = name.split([' ', '\t', '\n', '\r', '/', '>']).next().unwrap_or_default().to_owned();
    let content = if source.ends_with("/>") {
        None
    } else {
        let start = start_tag_end(source).ok_or(Refusal::PlaceUnknown)?;
        let end = source.rfind("</").filter(|end| *end >= start).ok_or(Refusal::PlaceUnknown)?;
        Some(range.start + offset + start..range.start + offset + end)
    };
    Ok(Located { whole: range.start + offset..range.end + offset, content, name })
}

fn find<'d, 'a>(document: &'d Document<'a>, place: &str) -> Option<Node<'d, 'a>> {
    if let Some(id) = place.strip_prefix('#') {
        return document.by_id(id);
    }
    let mut names = place.split('/');
    let mut node = document.root_element();
    if node.tag_name().name() != names.next()? {
        return None;
    }
    for name in names {
        let mut children =
            node.children().filter(|child| child.is_element() && child.tag_name().name() == name);
        let child = children.next()?;
        if children.next().is_some() {
            return None;
        }
        node = child;
    }
    Some(node)
}

fn start_tag_end(source: &str) -> Option<usize> {
    let mut quote = None;
    for (at, octet) in source.bytes().enumerate() {
        match (quote, octet) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(octet),
            (Some(open), _) if open == octet => quote = None,
            _ => {}
        }
    }
    None
}

fn insert(octets: &[u8], at: usize, fragment: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + fragment.len());
    out.extend_from_slice(&octets[..at]);
    out.extend_from_slice(fragment);
    out.extend_from_slice(&octets[at..]);
    out
}

/// `<a/>` becomes `<a>…</a>`: the one case in which two octets of a document are written anew.
fn open_up(octets: &[u8], element: &Located, fragment: &[u8]) -> Vec<u8> {
    let mut out = octets[..element.whole.end - 2].to_vec();
    out.push(b'>');
    out.extend_from_slice(fragment);
    out.extend_from_slice(format!("</{}>", element.name).as_bytes());
    out.extend_from_slice(&octets[element.whole.end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_outside_the_place_stay_as_they_were() {
        let document = "\u{feff}<a x='>'>\r\n<b id=\"b\">1</b ><c/></a>\r\n".as_bytes();
        let with = |result: Result<Vec<u8>, Refusal>| String::from_utf8(result.unwrap()).unwrap();
        assert_eq!(
            with(insert_before_end(document, "#b", b"<n/>")),
            "\u{feff}<a x='>'>\r\n<b id=\"b\">1<n/></b ><c/></a>\r\n"
        );
        assert_eq!(
            with(insert_after_start(document, "a", b"<n/>")),
            "\u{feff}<a x='>'><n/>\r\n<b id=\"b\">1</b ><c/></a>\r\n"
        );
        assert_eq!(
            with(insert_before(document, "a/b", b"<n/>")),
            "\u{feff}<a x='>'>\r\n<n/><b id=\"b\">1</b ><c/></a>\r\n"
        );
        assert_eq!(
            with(insert_after(document, "a/b", b"<n/>")),
            "\u{feff}<a x='>'>\r\n<b id=\"b\">1</b ><n/><c/></a>\r\n"
        );
        assert_eq!(
            with(insert_before_end(document, "a/c", b"<n/>")),
            "\u{feff}<a x='>'>\r\n<b id=\"b\">1</b ><c><n/></c></a>\r\n"
        );
        assert_eq!(element(document, "#b"), Ok(&b"<b id=\"b\">1</b >"[..]));
        assert_eq!(content(document, "#b"), Ok(&b"1"[..]));
    }

    #[test]
    fn a_place_that_is_not_there_once_is_refused() {
        for place in ["#c", "a/d", "b", "a/b/c"] {
            let document = b"<a><b/><b/></a>";
            assert_eq!(insert_after(document, place, b""), Err(Refusal::PlaceUnknown), "{place}");
        }
    }
}
