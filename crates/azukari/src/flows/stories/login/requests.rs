//! What a client asks, and how a request that is wrong is answered.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_to_a_stranger_and_every_refusal_goes_to_the_registered_address() {
    let (_house, service) = town(ALL).await;
    let mut browser = Browser::new(&service);
    for more in [
        ("redirect_uri", "https://network.example.jp/callback/"),
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", "https://network.example.jp/callback#x"),
        ("redirect_uri", ""),
        ("client_id", "nobody"),
        ("client_id", ""),
        ("request_uri", "urn:ietf:params:oauth:request_uri:AAAAAAAAAAAAAAAAAAAAAA"),
        ("request_uri", "https://evil.example/request"),
    ] {
        let answer = browser.open(&service.address(&[more])).await.unwrap_err();
        assert_eq!(answer.status(), 400, "{more:?}");
        assert!(answer.headers().get("location").is_none(), "{more:?}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'"));
    }
    let twice = format!("{}&state=b", service.address(&[]));
    assert_eq!(browser.open(&twice).await.unwrap_err().status(), 400);

    for (more, wanted) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("scope", "openid sign"), "invalid_scope"),
        (("scope", "openid admin"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
        (("authorization_details", "[]"), "invalid_authorization_details"),
    ] {
        let answer = browser.open(&service.address(&[more])).await.unwrap_err();
        let back = parameters(&answer);
        assert_eq!(value(&back, "error"), wanted, "{more:?}");
        assert_eq!((value(&back, "state"), value(&back, "iss")), ("st", service.issuer.as_str()));
        assert!(value(&back, "code").is_empty());
    }
    // A form of the service's own page comes without our cookie: it goes on as a GET, which has it, and
    // logins that are open in this browser stay open.
    let open = browser.open(&service.address(&[])).await.unwrap();
    let (path, query) =
        service.address(&[]).split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let request = hyper::Request::post(path.strip_prefix(&service.issuer).unwrap())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(query.into_bytes())
        .unwrap();
    let answer = service.way.exchange(request).await.unwrap();
    assert_eq!(answer.status(), 303);
    assert!(answer.headers().get("set-cookie").is_none());
    let on = answer.headers()["location"].to_str().unwrap();
    assert_ne!(browser.open(on).await.unwrap(), open);
    assert_eq!(browser.step(&open).await, "idle");
    // On loopback any port is the same program's.
    let app = [
        ("client_id", "app"),
        ("redirect_uri", "http://127.0.0.1:49152/back"),
        ("scope", "openid"),
    ];
    assert!(browser.open(&service.address(&app)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_request_is_used_once_by_one_browser_and_a_signed_one_only_while_it_holds() {
    let (_house, service) = town(ALL).await;
    let push = async |more: &[(&str, &str)]| {
        let assertion = service.assertion();
        let address = service.address(more);
        let query = address.split_once('?').unwrap().1.to_owned();
        let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(
            &format!("https://x.test/?{query}").parse().unwrap(),
        );
        let mut pairs = read.unwrap().0;
        pairs.push(("client_assertion_type".into(), ASSERTION.into()));
        pairs.push(("client_assertion".into(), assertion));
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        service.post("/oauth/par", &pairs).await
    };
    let (status, pushed) = push(&[]).await;
    assert_eq!((status, pushed["expires_in"].as_u64()), (201, Some(60)));
    let uri = pushed["request_uri"].as_str().unwrap().to_owned();
    let by = |client: &str, uri: &str| {
        let query = form(&[("client_id", client), ("request_uri", uri)]);
        format!("{}/oauth/authorize?{query}", service.issuer)
    };
    let mut hers = Browser::new(&service);
    // Another client's name does not open it.
    assert_eq!(hers.open(&by("other", &uri)).await.unwrap_err().status(), 400);
    let login = hers.open(&by("network", &uri)).await.unwrap();
    assert_eq!(hers.open(&by("network", &uri)).await.unwrap(), login, "the page loaded again");
    let mut his = Browser::new(&service);
    assert_eq!(his.open(&by("network", &uri)).await.unwrap_err().status(), 400);
    let seen = his.ask("/oauth/page/state", json!({"login": login})).await;
    assert_eq!(seen["code"], "oauth-browser-differs");
    // A push that does not hold is refused there, in the standard's words.
    let (status, body) = push(&[("redirect_uri", "https://evil.example/cb")]).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_request")));
    let unproven = service.post("/oauth/par", &[("client_id", "network")]).await;
    assert_eq!(error(unproven), (401, "invalid_client".into()));

    // Signed request objects (RFC 9101).
    let object = |key: &EcdsaKeyPair, change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": "network", "client_id": "network", "aud": service.issuer,
            "exp": now().seconds() + 60, "response_type": "code", "redirect_uri": BACK,
            "scope": "openid", "state": "inside", "nonce": "no",
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        });
        change(&mut claims);
        es256(key, &claims)
    };
    let with = |object: &str| {
        let query = form(&[("client_id", "network"), ("request", object), ("state", "outside")]);
        format!("{}/oauth/authorize?{query}", service.issuer)
    };
    let login = hers.open(&with(&object(&service.key, &|_| {}))).await.unwrap();
    hers.ask("/oauth/page/leave", json!({"login": login})).await;
    let back = hers.back(&login).await;
    assert_eq!(value(&back, "state"), "inside", "only what is signed counts");
    assert_eq!(value(&back, "error"), "access_denied");
    let stranger = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (_, body) = push(&[("request", &object(&service.key, &|c| c["exp"] = json!(1)))]).await;
    assert_eq!(body["error"], "invalid_request_object", "an expired request object");
    for wrong in [
        object(&stranger, &|_| {}),
        object(&service.key, &|c| c["exp"] = json!(now().seconds())),
        object(&service.key, &|c| c["aud"] = json!("https://other.example.jp")),
        object(&service.key, &|c| c["iss"] = json!("other")),
        object(&service.key, &|c| c["sub"] = json!("network")),
        "e30.e30.".to_owned(),
    ] {
        let answer = hers.open(&with(&wrong)).await.unwrap_err();
        assert_eq!(answer.status(), 400, "{wrong}");
    }
}
