//! Joining `xml:base` values, Canonical XML 1.1 §2.4 (RFC 3986 §5.2 made to work on relative
//! references).

/// A URI reference in its parts; a part that is absent differs from an empty one.
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

fn split(reference: &str) -> Parts<'_> {
    // The fragment plays no part in a base.
    let rest = reference.split('#').next().unwrap_or_default();
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (scheme, rest) = match rest.find([':', '/']) {
        Some(at) if at > 0 && rest.as_bytes()[at] == b':' => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, rest),
    };
    Parts { scheme, authority, path, query }
}

/// The base that `reference` means inside an element whose base is `base`.
pub(super) fn join(base: &str, reference: &str) -> String {
    if base.is_empty() {
        return reference.to_owned();
    }
    // §2.4: a base that ends in ".." is a directory.
    let directory;
    let base = if base == ".." || base.ends_with("/..") {
        directory = format!("{base}/");
        directory.as_str()
    } else {
        base
    };
    let (b, r) = (split(base), split(reference));
    let (scheme, authority, path, query);
    if r.scheme.is_some() {
        (scheme, authority, path, query) = (r.scheme, r.authority, normal(r.path), r.query);
    } else if r.authority.is_some() {
        (scheme, authority, path, query) = (b.scheme, r.authority, normal(r.path), r.query);
    } else {
        (scheme, authority) = (b.scheme, b.authority);
        if r.path.is_empty() {
            (path, query) = (normal(b.path), r.query.or(b.query));
        } else if r.path.starts_with('/') {
            (path, query) = (normal(r.path), r.query);
        } else {
            let merged = match b.path.rfind('/') {
                Some(at) => format!("{}{}", &b.path[..=at], r.path),
                None if b.authority.is_some() => format!("/{}", r.path),
                None => r.path.to_owned(),
            };
            (path, query) = (normal(&merged), r.query);
        }
    }
    let mut out = String::with_capacity(base.len() + reference.len());
    if let Some(scheme) = scheme {
        out.push_str(scheme);
        out.push(':');
    }
    if let Some(authority) = authority {
        out.push_str("//");
        out.push_str(authority);
    }
    out.push_str(&path);
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
    out
}

/// Removes `.` and `..` segments; leading `..` of a relative path stay, and runs of slashes become
/// one (§2.4 rules on remove_dot_segments).
fn normal(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut directory = path.ends_with('/');
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        directory = path.ends_with('/');
        match segment {
            "." => directory = true,
            ".." => {
                directory = true;
                if kept.last().is_some_and(|last| *last != "..") {
                    kept.pop();
                } else if !absolute {
                    kept.push("..");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    if absolute {
        out.push('/');
    }
    out.push_str(&kept.join("/"));
    if directory && !kept.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn bases_join_as_canonical_xml_1_1_and_rfc_3986_say() {
        for (base, reference, expected) in [
            ("http://e.test/x/", "y/", "http://e.test/x/y/"),
            ("http://e.test/x/", "../z", "http://e.test/z"),
            ("http://e.test/x/y", "z", "http://e.test/x/z"),
            ("http://e.test", "z", "http://e.test/z"),
            ("http://e.test/a/b/c/d;p?q", "g?y#s", "http://e.test/a/b/c/g?y"),
            ("http://e.test/a/b/c/d;p?q", "?y", "http://e.test/a/b/c/d;p?y"),
            ("http://e.test/a/b/c/d;p?q", "../../../../g", "http://e.test/g"),
            ("http://e.test/a/", "//other.test/g", "http://other.test/g"),
            ("http://e.test/a/", "urn:x:y", "urn:x:y"),
            ("../bar/", "../foo", "../foo"),
            ("..", "foo", "../foo"),
            ("../..", "..", "../../../"),
            ("a/b/", "c/", "a/b/c/"),
            ("a", "/b", "/b"),
            ("", "y/", "y/"),
        ] {
            assert_eq!(join(base, reference), expected, "{base} + {reference}");
        }
    }
}
