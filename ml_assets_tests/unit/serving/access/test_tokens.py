"""Tokens of an identity provider: which are taken, and what they may ask."""

import base64
import json
import time

import pytest
from joserfc import jwe, jwt
from joserfc.jwk import OctKey, RSAKey

from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.access.keys import KeyFileError, parse
from ml_assets_tests.kits.access import key, write_keys
from ml_assets_tests.kits.identity_provider import IdentityProvider, new_key


@pytest.fixture
def provider():
    with IdentityProvider().running() as found:
        yield found


@pytest.fixture
def followed(provider, tmp_path):
    """The callers of the provider, with its keys."""
    file = write_keys(tmp_path / "keys.json", key("web"), issuers=[provider.issuer()])
    return fetched(FollowedKeys(file, {}))


def fetched(followed, seconds=0.0):
    """With the keys that are due after so many seconds."""
    followed.refresh(time.monotonic() + seconds)
    return followed


def of(followed, token):
    return followed.callers.of(token.encode())


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "Ed25519"])
def test_a_token_is_taken_by_the_published_key(algorithm, tmp_path):
    with IdentityProvider(new_key("k", algorithm)).running() as provider:
        file = write_keys(tmp_path / "keys.json", issuers=[provider.issuer()])
        followed = fetched(FollowedKeys(file, {}))
        caller = of(followed, provider.token())
    assert caller.id == "acme:ann"
    assert caller.may("predict", "churn")


def test_keys_beside_tokens_are_known_as_before(followed):
    assert of(followed, "web.secret").id == "web"
    assert of(followed, "web.secret.x") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1_700_000_000},
        {"nbf": 33_000_000_000},
        {"scope": "openid"},
        {"scope": None},
        {"scope": "mlx"},
        {"scope": {"ml": True}},
    ],
    ids=str,
)
def test_a_token_with_other_claims_is_refused(changes, provider, followed):
    assert of(followed, provider.token(**changes)) is None
    assert of(followed, provider.token()) is not None


def encoded(found):
    return base64.urlsafe_b64encode(json.dumps(found).encode()).rstrip(b"=").decode()


def test_a_token_with_another_signature_is_refused(provider, followed):
    good, claims = provider.token(), provider.claims()
    head, body, signature = good.split(".")
    public = provider.keys[0].as_dict(private=False)
    secret = OctKey.import_key(json.dumps(public))
    forged = [
        f"{encoded({'alg': 'none'})}.{body}.",
        f"{encoded({'alg': 'none', 'kid': 'first'})}.{body}.{signature}",
        f"{head}.{encoded(claims | {'sub': 'eve'})}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.{signature}.x",
        # A public key is no secret.
        jwt.encode({"alg": "HS256", "kid": "first"}, claims, secret),
        provider.token(new_key("first")),
        provider.token(new_key("other")),
        "..",
        "é.é.é",
        f"{encoded([])}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': ['first']})}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': 'first', 'crit': ['x']})}.{body}.x",
    ]
    for token in forged:
        assert of(followed, token) is None, token
    assert of(followed, good) is not None


def test_an_encrypted_token_is_refused(tmp_path):
    pair = RSAKey.generate_key(2048, {"kid": "k"})
    with IdentityProvider(pair).running() as provider:
        file = write_keys(tmp_path / "keys.json", issuers=[provider.issuer()])
        followed = fetched(FollowedKeys(file, {}))
        header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k"}
        registry = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"])
        token = jwt.encode(header, provider.claims(), pair, registry=registry)
        assert of(followed, token) is None


def test_a_token_is_refused_from_its_expiry_on(provider, followed, monkeypatch):
    token = provider.token()
    assert of(followed, token) is not None
    monkeypatch.setattr("ml_assets.serving.access.callers.time", lambda: 4e10)
    assert of(followed, token) is None


def test_a_token_may_ask_what_one_of_its_grants_allows(provider, tmp_path):
    issuer = provider.issuer(
        claim="realm_access.roles",
        grants=[
            {"value": "reader", "models": ["*"], "routes": ["metadata"], "rate": 5},
            {"value": "scorer", "models": ["churn*"], "routes": ["predict"], "rate": 9},
            {"value": "root", "models": ["*"], "routes": ["admin"]},
        ],
    )
    file = write_keys(tmp_path / "keys.json", issuers=[issuer])
    followed = fetched(FollowedKeys(file, {}))
    access = {"roles": ["reader", "scorer", "other"]}
    caller = of(followed, provider.token(realm_access=access))
    assert caller.may("predict", "churn_eu") and not caller.may("predict", "fraud")
    assert caller.may("metadata", "fraud") and not caller.has("feedback", "churn_eu")
    assert caller.may("feedback", "churn_eu") and not caller.may("feedback", "fraud")
    assert caller.sees("fraud") and caller.bucket.rate == 9


def test_a_token_that_names_nobody_is_refused_and_a_long_name_is_bounded(
    provider, tmp_path
):
    file = write_keys(tmp_path / "keys.json", issuers=[provider.issuer()])
    followed = fetched(FollowedKeys(file, {}))
    assert of(followed, provider.token(sub=None)) is None
    long, other = (of(followed, provider.token(sub="a" * 300 + end)) for end in "bc")
    assert long.id != other.id and len(long.id) < 150


def test_the_rate_of_somebody_goes_on_with_the_next_token(provider, tmp_path):
    grant = {"value": "ml", "models": ["*"], "routes": ["admin"], "rate": 1}
    file = write_keys(tmp_path / "keys.json", issuers=[provider.issuer(grants=[grant])])
    followed = fetched(FollowedKeys(file, {}))
    tokens = [provider.token(jti=str(number)) for number in range(2)]
    assert [of(followed, token).bucket.wait(0.0) for token in tokens] == [0, 1]
    other = of(followed, provider.token(sub="bob"))
    assert other.bucket.wait(0.0) == 0


def test_a_new_key_is_fetched_when_a_token_names_it_and_not_at_each(provider, followed):
    asked = len(provider.asked)
    provider.keys.insert(0, new_key("second"))
    assert of(followed, provider.token()) is None
    fetched(followed)
    # It was asked a moment ago.
    assert len(provider.asked) == asked
    fetched(followed, seconds=11)
    assert of(followed, provider.token()) is not None
    asked = len(provider.asked)
    fetched(followed, seconds=22)
    assert len(provider.asked) == asked


def test_tokens_of_a_key_that_is_withdrawn_are_refused(provider, followed):
    token = provider.token()
    assert of(followed, token) is not None
    provider.keys[:] = [new_key("second")]
    fetched(followed, seconds=301)
    assert of(followed, token) is None
    assert of(followed, provider.token()) is not None


@pytest.mark.parametrize("fault", [500, 404])
def test_the_keys_of_before_count_on_while_the_provider_is_away(
    fault, provider, followed, caplog
):
    token = provider.token()
    provider.fault = fault
    fetched(followed, seconds=301)
    assert "the keys of an issuer cannot be fetched" in caplog.text
    assert of(followed, token) is not None


def test_before_the_first_keys_no_token_is_taken(provider, tmp_path):
    provider.fault = 503
    file = write_keys(tmp_path / "keys.json", issuers=[provider.issuer()])
    followed = fetched(FollowedKeys(file, {}))
    assert of(followed, provider.token()) is None
    provider.fault = None
    fetched(followed, seconds=11)
    assert of(followed, provider.token()) is not None


def test_a_changed_file_keeps_the_keys_of_an_issuer_that_is_in_it(
    provider, followed, tmp_path
):
    asked = len(provider.asked)
    write_keys(tmp_path / "keys.json", key("new"), issuers=[provider.issuer()])
    followed.follow()
    assert of(followed, provider.token()) is not None
    assert len(provider.asked) == asked
    write_keys(tmp_path / "keys.json", key("new"))
    followed.follow()
    assert of(followed, provider.token()) is None


def test_no_more_tokens_are_remembered_than_the_bound(provider, followed, monkeypatch):
    monkeypatch.setattr("ml_assets.serving.access.callers._MOST_TOKENS", 2)
    tokens = [provider.token(jti=str(number)) for number in range(4)]
    for token in (*tokens, *tokens):
        assert of(followed, token) is not None
    assert len(followed.callers._tokens) == 2


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"issuer": "http://login.example"}, "issuer acme: expected a URL of https"),
        ({"jwks": "http://login.example/c"}, "issuer acme: expected a URL of https"),
        ({"issuer": "login.example"}, r"regex.*issuers\[0\]\.issuer"),
        ({"grants": []}, r"length >= 1.*issuers\[0\]\.grants"),
        ({"audience": ""}, r"length >= 1.*issuers\[0\]\.audience"),
        ({"id": "web"}, "two keys have the id web"),
        ({"secret": "x"}, "unknown field `secret`"),
    ],
)
def test_a_wrong_issuer_is_named_with_its_file(changes, reason):
    grant = {"value": "ml", "models": ["*"], "routes": ["admin"]}
    issuer = {"id": "acme", "issuer": "https://login.example", "audience": "ml-assets"}
    issuer |= {"grants": [grant]}
    text = json.dumps({"keys": [key("web")], "issuers": [issuer | changes]})
    with pytest.raises(KeyFileError, match=f"keys.json: .*{reason}"):
        parse(text.encode(), "keys.json")
