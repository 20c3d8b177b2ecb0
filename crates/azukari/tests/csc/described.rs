//! The published description against the doors that it describes.

use std::path::Path;

use serde_json::{Value, json};

use crate::town::Town;

/// The parts of the description that are the platform's.
const PLATFORM: [&str; 8] =
    ["platform", "authority", "phone", "holder", "card", "csc", "oauth", "journal"];

pub(crate) fn described(town: &Town) -> Value {
    town.platform("/openapi.json").get().well()
}

/// Every member of an answer stands in the description's shape of it.
pub(crate) fn as_described(openapi: &Value, shape: &str, answer: &Value) {
    let shape = &openapi["components"]["schemas"][shape];
    let known = shape["properties"].as_object().unwrap();
    for member in answer.as_object().unwrap().keys() {
        assert!(known.contains_key(member), "{member} is not described: {answer}");
    }
    for member in shape["required"].as_array().into_iter().flatten() {
        assert!(answer.get(member.as_str().unwrap()).is_some(), "{member} is missing: {answer}");
    }
}

/// The paths for programs that stand in the code of the doors (those for pages are not described).
fn machines_paths() -> Vec<String> {
    let mut paths = Vec::new();
    for room in ["platform", "hospital", "demo"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.push(folder.with_extension("rs"));
        for file in files.iter().filter(|file| file.is_file()) {
            let code = std::fs::read_to_string(file).unwrap();
            let routes = code.split(".route(\"/v1/").skip(1);
            paths.extend(routes.map(|rest| format!("/v1/{}", rest.split('"').next().unwrap())));
        }
    }
    assert!(paths.len() > 30, "{paths:?}");
    paths
}

pub(crate) fn every_description_has_its_door_and_every_endpoint_its_description(town: &Town) {
    let openapi = described(town);
    let paths = openapi["paths"].as_object().unwrap();
    let mut ids = Vec::new();
    for (path, item) in paths {
        for (method, act) in item.as_object().unwrap() {
            ids.push(act["operationId"].as_str().unwrap().to_owned());
            let tag = act["tags"][0].as_str().unwrap();
            let filled: Vec<_> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "none" } else { part })
                .collect();
            let place = filled.join("/");
            let mut asked = match tag {
                "gateway" => town.gateway(&place),
                "service" => town.service(&place),
                tag if PLATFORM.contains(&tag) => town.platform(&place),
                tag => panic!("{path}: whose is {tag}?"),
            };
            let answer = match method.as_str() {
                "get" => asked.get(),
                "post" => asked.post(&json!({})),
                "delete" => {
                    asked.arguments.extend(["-X".into(), "DELETE".into()]);
                    asked.get()
                }
                other => panic!("{other} {path}"),
            };
            // Refused in words, or answered: where nothing stands, nothing is said.
            let nobody = answer.status == 404 && answer.body["code"].is_null();
            assert!(!nobody && answer.status != 405, "{method} {path}: {answer:?}");
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each act has an id of its own");

    for path in machines_paths() {
        assert!(paths.contains_key(&path), "{path} is not described");
    }

    let found = town.platform("/.well-known/openid-configuration").get().well();
    let issuer = found["issuer"].as_str().unwrap();
    let mut endpoints = 0;
    for (name, address) in found.as_object().unwrap() {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            let path = address.as_str().unwrap().strip_prefix(issuer).unwrap();
            assert!(paths.contains_key(path), "{name} is not described");
            endpoints += 1;
        }
    }
    assert_eq!(endpoints, 9);
    for version in ["v1", "v2"] {
        let info = town.platform(&format!("/csc/{version}/info")).post(&json!({})).well();
        for method in info["methods"].as_array().unwrap() {
            let path = format!("/csc/{version}/{}", method.as_str().unwrap());
            assert!(paths.contains_key(&path), "{path} is not described");
        }
    }
    let metadata = town.platform("/.well-known/oauth-authorization-server").get().well();
    assert_eq!(metadata, found);
}
