//! The canonical octets of every shared vector, each agreed on by at least two other
//! implementations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use xades::c14n::{Method, canonicalize};
use xades::parse;

#[test]
fn every_vector_gives_its_canonical_octets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/c14n");
    let table = std::fs::read_to_string(folder.join("cases.tsv")).unwrap();
    let mut cases = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [input, algorithm, id, prefixes, output, _] = fields[..] else { panic!("{line}") };
        let octets = std::fs::read(folder.join(input)).unwrap();
        let document = parse(&octets).unwrap_or_else(|refusal| panic!("{input}: {refusal}"));
        let subtree = (!id.is_empty()).then(|| document.by_id(id).unwrap());
        let method = Method::from_uri(algorithm).unwrap();
        let prefixes: Vec<&str> = prefixes.split_whitespace().collect();
        let found = canonicalize(&document, subtree, method, &prefixes);
        let expected = std::fs::read(folder.join(output)).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected), "{output}");
        cases += 1;
    }
    assert_eq!(cases, table.lines().count() - 1);
    assert!(cases >= 160, "the table lost cases: {cases}");
}

fn all(input: &str) -> String {
    let document = parse(input.as_bytes()).unwrap();
    String::from_utf8(canonicalize(&document, None, Method::Inclusive10Comments, &[])).unwrap()
}

#[test]
fn line_ends_are_made_plain_wherever_they_stand() {
    for (input, expected) in [
        ("<a>\r&#13;</a>", "<a>\n&#xD;</a>"),
        ("<a>&#13;\r</a>", "<a>&#xD;\n</a>"),
        ("<a>\r&#65;\r\n&#13;\r\n</a>", "<a>\nA\n&#xD;\n</a>"),
        ("<a>\r<![CDATA[\n\r\n<\r]]>\n&lt;\r</a>", "<a>\n\n\n&lt;\n\n&lt;\n</a>"),
        ("<a>\r\r\n\n<b/>\r</a>", "<a>\n\n\n<b></b>\n</a>"),
        ("<a><!--\r\n-\r--><?p \r\nq\r?></a>", "<a><!--\n-\n--><?p q\n?></a>"),
        ("<a x='1\r\n2\r3&#13;&#10;'/>", "<a x=\"1 2 3&#xD;&#xA;\"></a>"),
    ] {
        assert_eq!(all(input), expected, "{input:?}");
    }
}

#[test]
fn canonicalizing_twice_changes_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/c14n");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let octets = std::fs::read(&path).unwrap();
        for method in Method::ALL {
            let once = canonicalize(&parse(&octets).unwrap(), None, method, &[]);
            let twice = canonicalize(&parse(&once).unwrap(), None, method, &[]);
            assert_eq!(once, twice, "{} {method:?}", path.display());
        }
    }
}

#[test]
fn a_method_is_found_by_its_identifier_only() {
    for method in Method::ALL {
        assert_eq!(Method::from_uri(method.uri()), Some(method));
    }
    assert_eq!(Method::from_uri("http://www.w3.org/2001/10/xml-exc-c14n"), None);
}
