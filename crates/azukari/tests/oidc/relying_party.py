"""A relying party made with Authlib, a stranger to this project. It finds the provider by discovery,
sends a browser there, tells the test which QR code that browser shows, reads the three digits, comes
back, exchanges the code and judges the ID token. Then it does what must be refused.

usage: relying_party.py SETTINGS.json   (one line out: the QR code; one line in: the digits)
"""

import json
import re
import sys
import time
from urllib.parse import parse_qs, urlparse

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken, UserInfo
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

with open(sys.argv[1], encoding="utf-8") as settings:
    S = json.load(settings)
BACK = "http://127.0.0.1:54321/callback"
SCOPE = "openid profile qualification registration_number"


def discovered():
    found = requests.get(f"{S['issuer']}/.well-known/openid-configuration", verify=S["ca"])
    metadata = found.json()
    assert metadata["issuer"] == S["issuer"], metadata
    plain = requests.get(f"{S['issuer']}/.well-known/oauth-authorization-server", verify=S["ca"])
    assert plain.json() == metadata
    return metadata


META = discovered()


def session():
    proof = PrivateKeyJWT(META["token_endpoint"], alg="ES256")
    client = OAuth2Session(
        client_id=S["client_id"],
        client_secret=ECKey.import_key(S["key"]),
        token_endpoint_auth_method=proof,
        revocation_endpoint_auth_method=proof,
        scope=SCOPE,
        redirect_uri=BACK,
        code_challenge_method="S256",
    )
    client.verify = S["ca"]
    client.trust_env = False
    return client


class Browser:
    """What a browser does with the page: its cookies, and what the page's script asks."""

    def __init__(self):
        self.web = requests.Session()
        self.web.verify = S["ca"]
        self.web.trust_env = False

    def open(self, address):
        page = self.web.get(address, allow_redirects=False)
        assert page.status_code == 200, (page.status_code, page.text)
        self.login = re.search(r'data-login="([0-9a-f]{32})"', page.text)[1]

    def ask(self, path, **body):
        answer = self.web.post(
            S["issuer"] + path, json={"login": self.login, **body}, headers={"Origin": S["issuer"]}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def back(self):
        answer = self.web.get(
            f"{S['issuer']}/oauth/continue/{self.login}", allow_redirects=False
        )
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]


def logged_in(client):
    verifier, nonce = generate_token(48), generate_token(20)
    address, state = client.create_authorization_url(
        META["authorization_endpoint"], code_verifier=verifier, nonce=nonce, prompt="login"
    )
    browser = Browser()
    browser.open(address)
    print(browser.ask("/oauth/page/show")["address"], flush=True)
    digits = sys.stdin.readline().strip()
    browser.ask("/oauth/page/number", number=digits)
    assert browser.ask("/oauth/page/state")["step"] == "ready"
    back = browser.back()
    said = parse_qs(urlparse(back).query)
    assert said["iss"] == [S["issuer"]] and said["state"] == [state], said
    return back, verifier, nonce, state


def refused(error, act):
    try:
        answer = act()
    except OAuthError as refusal:
        assert refusal.error == error, (refusal.error, refusal.description)
        return
    raise AssertionError(f"not refused: {answer}")


def main():
    client = session()
    back, verifier, nonce, state = logged_in(client)
    exchange = dict(authorization_response=back, state=state)
    refused(
        "invalid_grant",
        lambda: session().fetch_token(META["token_endpoint"], code_verifier="x" * 43, **exchange),
    )
    token = client.fetch_token(META["token_endpoint"], code_verifier=verifier, **exchange)
    assert token["token_type"] == "Bearer" and "refresh_token" not in token, token

    keys = KeySet.import_key_set(requests.get(META["jwks_uri"], verify=S["ca"]).json())
    decoded = jwt.decode(token["id_token"], keys, algorithms=["ES256"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"values": [S["issuer"]]}, "aud": {"values": [S["client_id"]]}},
        {"nonce": nonce, "client_id": S["client_id"], "access_token": token["access_token"]},
    )
    claims.validate(now=int(time.time()), leeway=5)
    assert claims["acr"] == "urn:azukari:acr:phone", claims
    info = UserInfo(client.get(META["userinfo_endpoint"]).json())
    assert info.sub == claims["sub"], info
    for name in ["name", "qualification", "qualification#ja", "registration_number"]:
        assert info[name] == claims[name], (name, info)

    asked = client.introspect_token(META["introspection_endpoint"], token=token["access_token"])
    assert asked.json()["active"] is True, asked.text
    # The code again: refused, and what it had given is dead.
    refused(
        "invalid_grant",
        lambda: session().fetch_token(META["token_endpoint"], code_verifier=verifier, **exchange),
    )
    assert client.get(META["userinfo_endpoint"]).status_code == 401
    asked = session().introspect_token(META["introspection_endpoint"], token=token["access_token"])
    assert asked.json() == {"active": False}, asked.text
    refused(
        "unsupported_grant_type",
        lambda: session().refresh_token(META["token_endpoint"], refresh_token="none"),
    )
    # Another's key in this client's name.
    stranger = session()
    stranger.client_secret = ECKey.generate_key("P-256")
    refused(
        "invalid_client",
        lambda: stranger.fetch_token(META["token_endpoint"], code_verifier=verifier, **exchange),
    )

    # Once more, and this time the service itself ends what it was given.
    client = session()
    back, verifier, nonce, state = logged_in(client)
    token = client.fetch_token(
        META["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier
    )
    assert client.get(META["userinfo_endpoint"]).status_code == 200
    gone = client.revoke_token(META["revocation_endpoint"], token=token["access_token"])
    assert gone.status_code == 200, gone.text
    assert client.get(META["userinfo_endpoint"]).status_code == 401
    print(json.dumps({"sub": claims["sub"], "name": claims["name"]}), flush=True)


main()
