//! The published description of every interface (OpenAPI 3.1): platform, phone, gateway and the
//! town's prescription service in one document, told apart by their tags.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::demo::service;
use crate::hospital;
use crate::platform::{
    approvals, batch, cards, csc, door, holder, import, journal, oauth, phone, reader,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Azukari – 鍵預かり",
        description = "HPKI セカンド電子証明書によるリモート署名。断りはすべて application/problem+json で、code は変わりません。"
    ),
    paths(
        door::facility,
        door::sign,
        door::signature,
        door::start,
        door::state,
        door::number,
        reader::ask,
        reader::answer,
        door::end,
        door::checkpoint,
        door::consistency,
        import::key,
        import::import,
        journal::file,
        approvals::begin,
        approvals::state,
        approvals::signatures,
        approvals::evidence,
        batch::sign,
        batch::answer,
        phone::open,
        phone::birth,
        phone::held,
        phone::finish,
        phone::claim,
        phone::approve,
        phone::refuse,
        phone::stop_begin,
        phone::stop_finish,
        phone::history,
        cards::begin,
        cards::finish,
        cards::claim,
        cards::approve,
        cards::link_begin,
        cards::link_state,
        cards::link_finish,
        holder::signin_begin,
        holder::signin_card,
        holder::signin_finish,
        holder::signout,
        holder::state,
        holder::session_end,
        holder::notices_seen,
        holder::act_begin,
        holder::act_finish,
        holder::history,
        holder::proof,
        holder::card_code,
        holder::card_check,
        holder::change_begin,
        holder::change_state,
        holder::change_refuse,
        holder::change_open,
        holder::change_offer,
        holder::change_stands,
        csc::info::info_v1,
        csc::info::info_v2,
        csc::credentials::list_v1,
        csc::credentials::list_v2,
        csc::credentials::info_v1,
        csc::credentials::info_v2,
        csc::authorize::authorize_v1,
        csc::authorize::authorize_v2,
        csc::authorize::check_v2,
        csc::authorize::challenge_v2,
        csc::authorize::extend_v1,
        csc::authorize::extend_v2,
        csc::sign::sign_hash_v1,
        csc::sign::sign_hash_v2,
        csc::document::sign_doc_v2,
        csc::sign::poll_v2,
        csc::revoke::revoke_v1,
        csc::revoke::revoke_v2,
        oauth::metadata::metadata,
        phone::jwks,
        oauth::authorize::push,
        oauth::authorize::by_query,
        oauth::authorize::by_form,
        oauth::token::token,
        oauth::token::device,
        oauth::token::backchannel,
        oauth::token::introspect,
        oauth::token::revoke,
        oauth::token::userinfo,
        hospital::staff::begin,
        hospital::staff::state,
        hospital::staff::number,
        hospital::staff::staff,
        hospital::staff::end,
        hospital::documents::prescriptions,
        hospital::documents::dispensings,
        hospital::batch::prescriptions,
        hospital::batch::dispensings,
        hospital::cards::look,
        hospital::cards::begin,
        hospital::cards::state,
        hospital::cards::sign,
        hospital::approvals::begin,
        hospital::approvals::state,
        hospital::approvals::evidence,
        service::prescriptions,
        service::fetch,
        service::dispensings,
    ),
    components(schemas(wire::refusal::Problem)),
    tags(
        (name = "platform", description = "基盤。相互 TLS（医療機関のクライアント証明書）"),
        (name = "authority", description = "基盤。鍵を引き渡す認証局から（固定したクライアント証明書）"),
        (name = "phone", description = "基盤。電話から"),
        (name = "holder", description = "基盤。本人のページと新しい電話から（cookie と X-Azukari-CSRF）"),
        (name = "card", description = "基盤。手元のカードリーダーから（本人の HPKI カード・マイナンバーカード）"),
        (name = "csc", description = "基盤。Cloud Signature Consortium の API（1.0.4.0 と 2.0.0.2）。登録したクライアントから、相互 TLS とトークンで"),
        (name = "oauth", description = "基盤。OAuth 2.0 と OpenID Connect。断りは RFC 6749 の形で。/csc/v2/oauth2/… は CSC の名での同じ入口"),
        (name = "journal", description = "基盤。公開している署名記録。だれでも"),
        (name = "gateway", description = "医療機関側。電子カルテ・レセコンから、loopback で"),
        (name = "service", description = "電子処方箋管理サービスの模擬")
    ),
    modifiers(&Security, &OtherNames)
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(
            "facility",
            SecurityScheme::MutualTls {
                description: Some("医療機関のクライアント証明書".into()),
                extensions: None,
                deprecated: None,
            },
        );
        components.add_security_scheme(
            "authority",
            SecurityScheme::MutualTls {
                description: Some("登録した認証局のクライアント証明書".into()),
                extensions: None,
                deprecated: None,
            },
        );
        components
            .add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components
            .add_security_scheme("ehr", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Doors that have a second name.
const SECOND_NAMES: [(&str, &str); 5] = [
    ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"),
    ("/oauth/par", "/csc/v2/oauth2/pushed_authorize"),
    ("/oauth/authorize", "/csc/v2/oauth2/authorize"),
    ("/oauth/token", "/csc/v2/oauth2/token"),
    ("/oauth/revoke", "/csc/v2/oauth2/revoke"),
];

/// What one function answers under several names or methods is described once; and no two acts have
/// one id, which functions of the same name would give them.
struct OtherNames;

impl Modify for OtherNames {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let paths = &mut openapi.paths.paths;
        for (name, second) in SECOND_NAMES {
            let Some(mut item) = paths.get(name).cloned() else { continue };
            if item.get.is_some() {
                // Under its second name a browser's door is for links alone.
                item.post = None;
            }
            paths.insert(second.to_owned(), item);
        }
        if let Some(item) = paths.get_mut("/oauth/userinfo") {
            item.post = item.get.clone();
        }
        for (path, item) in paths {
            let name = path.trim_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            for (method, act) in [("get", &mut item.get), ("post", &mut item.post)] {
                if let Some(act) = act {
                    act.operation_id = Some(format!("{method}_{name}"));
                }
            }
        }
    }
}

/// The document as JSON.
pub(crate) fn json() -> String {
    Description::openapi().to_pretty_json().unwrap_or_default()
}
