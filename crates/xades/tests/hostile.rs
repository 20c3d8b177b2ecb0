//! Documents meant to hurt: each has its own refusal, and none reaches the XML parser unbounded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;

use hpki::refusal::Refuse;
use xades::parse;

fn code(document: impl AsRef<[u8]>) -> &'static str {
    parse(document.as_ref()).err().map_or("accepted", |refusal| refusal.code())
}

fn nested(depth: usize) -> String {
    "<a>".repeat(depth) + &"</a>".repeat(depth)
}

fn attributes(count: usize) -> String {
    let mut out = String::from("<a");
    for number in 0..count {
        write!(out, " b{number}=''").unwrap();
    }
    out + "/>"
}

fn declarations(count: usize) -> String {
    let mut out = String::from("<a");
    for number in 0..count {
        write!(out, " xmlns:b{number}='urn:{number}'").unwrap();
    }
    out + "/>"
}

#[test]
fn a_hundred_megabytes_are_refused_unread() {
    let mut document = b"<a>".to_vec();
    document.resize(100 << 20, b'x');
    document.extend_from_slice(b"</a>");
    assert_eq!(code(&document), "xml-too-large");
}

#[test]
fn four_mebibytes_are_the_most() {
    let with = |size: usize| format!("<a>{}</a>", "x".repeat(size - 7));
    assert_eq!(code(with(4 << 20)), "accepted");
    assert_eq!(code(with((4 << 20) + 1)), "xml-too-large");
}

#[test]
fn ten_thousand_levels_are_refused_and_sixty_four_are_the_most() {
    assert_eq!(code(nested(10_000)), "xml-too-deep");
    assert_eq!(code(nested(65)), "xml-too-deep");
    assert_eq!(code(nested(64)), "accepted");
    assert_eq!(code(nested(63).replace("<a></a>", "<a><b/></a>")), "accepted");
    assert_eq!(code(nested(64).replace("<a></a>", "<a><b/></a>")), "xml-too-deep");
}

#[test]
fn two_hundred_thousand_attributes_are_refused_and_thirty_two_are_the_most() {
    assert_eq!(code(attributes(200_000)), "xml-too-many-attributes");
    assert_eq!(code(attributes(33)), "xml-too-many-attributes");
    assert_eq!(code(attributes(32)), "accepted");
}

#[test]
fn three_thousand_nested_namespaces_are_refused() {
    let mut document = String::new();
    for number in 0..3_000 {
        write!(document, "<a xmlns:n{number}='urn:{number}'>").unwrap();
    }
    document.push_str(&"</a>".repeat(3_000));
    assert_eq!(code(&document), "xml-too-many-namespaces");
    assert_eq!(code(declarations(17)), "xml-too-many-namespaces");
    assert_eq!(code(declarations(16)), "accepted");
    let siblings = format!("<r>{}</r>", declarations(16).repeat(100));
    assert_eq!(code(siblings), "accepted", "declarations end with their element");
}

#[test]
fn too_many_elements_are_refused() {
    assert_eq!(code(format!("<r>{}</r>", "<a/>".repeat(1_000_000))), "xml-too-many-nodes");
    assert_eq!(code(format!("<r>{}</r>", "=".repeat(300_000))), "xml-too-many-nodes");
}

#[test]
fn a_document_type_is_refused_and_an_entity_bomb_by_its_own_name() {
    assert_eq!(code("<!DOCTYPE a><a/>"), "xml-dtd");
    assert_eq!(code("<!DOCTYPE a SYSTEM 'http://e.test/a.dtd'><a/>"), "xml-dtd");
    let mut bomb = String::from("<!DOCTYPE a [<!ENTITY l0 'lol'>");
    for level in 1..10 {
        let before = format!("&l{};", level - 1).repeat(10);
        write!(bomb, "<!ENTITY l{level} '{before}'>").unwrap();
    }
    bomb.push_str("]><a>&l9;</a>");
    assert_eq!(code(&bomb), "xml-entities");
    assert_eq!(
        code("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"),
        "xml-entities"
    );
    assert_eq!(code("<a>&x;</a>"), "xml-malformed");
}

#[test]
fn only_utf8_is_read() {
    assert_eq!(code(b"<a>\xff</a>"), "xml-not-utf8");
    assert_eq!(code(b"<a>\xc0\xaf</a>"), "xml-not-utf8");
    assert_eq!(code(b"<a>\xed\xa0\x80</a>"), "xml-not-utf8");
    assert_eq!(code(b"\xfe\xff\0<\0a\0/\0>"), "xml-not-utf8");
    assert_eq!(code("<?xml version='1.0' encoding='Shift_JIS'?><a/>"), "xml-not-utf8");
    assert_eq!(code("<?xml version='1.0' encoding='utf-8'?><a/>"), "accepted");
    assert_eq!(code("\u{feff}<?xml version='1.0'?><a/>"), "accepted");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for document in [
        "",
        "x",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "<a b=1/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<p:a/>",
        "<a xmlns='urn:1' xmlns='urn:2'/>",
        "<a xmlns:p='urn:1' xmlns:p='urn:2'/>",
        "<a xmlns:p='urn:1' xmlns:q='urn:1' p:x='' q:x=''/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xmlns='urn:1'/>",
        "<a xmlns:xml='urn:1'/>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a>&#0;</a>",
        "<a>&#xFFFF;</a>",
        "<a b='&#x1;'/>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<a>&#+65;</a>",
        "<a>&amp</a>",
        "<a>\u{1}</a>",
        "<a>]]></a>",
        "<a><!-- -- --></a>",
        "<a><!--></a>",
        "<a><![CDATA[</a>",
        "<a><?xml version='1.0'?></a>",
        "<?xml version='1.1'?><a/>",
        "<!ELEMENT a><a/>",
        "<a b='",
        "<a b",
        "<",
        "<a/",
        "<a:b:c xmlns:a='urn:1'/>",
    ] {
        assert_eq!(code(document), "xml-malformed", "{document:?}");
    }
    let name = "n".repeat(2_000);
    assert_eq!(code(format!("<{name}/>")), "xml-malformed");
}

#[test]
fn an_id_means_one_element_however_it_is_spelled() {
    assert_eq!(code("<a><b id='x'/><c id='x'/></a>"), "id-duplicate");
    assert_eq!(code("<a><b Id='x'/><c Id='x'/></a>"), "id-duplicate");
    assert_eq!(code("<a><b id='x'/><c Id='x'/></a>"), "id-ambiguous");
    assert_eq!(code("<a><b ID='x'/><c Id='x'/></a>"), "id-ambiguous");
    assert_eq!(code("<a><b xml:id='x'/><c id='x'/></a>"), "id-ambiguous");
    assert_eq!(code("<a id='x' Id='y'/>"), "id-ambiguous");
    assert_eq!(code("<a id='x'><b Id='y'/><c ID='z'/></a>"), "accepted");
}

/// Every prefix of a document, and every document with one octet replaced, is answered, never a
/// panic.
#[test]
fn broken_documents_get_an_answer() {
    let document = "\u{feff}<?xml version=\"1.0\"?><!-- c --><a xmlns:p='urn:p' p:x='&#9;'>\
        <![CDATA[d]]>&amp;\r\n<?pi x?><b id='1'/>\u{3042}</a>";
    let whole = document.as_bytes();
    assert_eq!(code(whole), "accepted");
    for end in 0..whole.len() {
        let _ = parse(&whole[..end]);
    }
    for at in 0..whole.len() {
        for octet in 0..=255 {
            let mut changed = whole.to_vec();
            changed[at] = octet;
            if let Ok(document) = parse(&changed) {
                for method in xades::c14n::Method::ALL {
                    let _ = xades::c14n::canonicalize(&document, None, method, &[]);
                }
            }
        }
    }
}
