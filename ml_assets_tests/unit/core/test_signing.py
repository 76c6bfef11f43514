"""Keys from the environment, and what is said of those that are none."""

import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets.core.signing import (
    SHARED,
    SIGNING,
    VERIFY,
    Keys,
    SigningKeyError,
    keys,
    name_of,
    verify_keys,
)
from ml_assets_tests.kits.signing import Pair, make_keys


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_keys(tmp_path)


@pytest.mark.parametrize("by", ["path", "text"])
def test_a_key_is_a_file_or_its_text(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    for variable, path in ((SIGNING, pair.signing), (VERIFY, pair.verify)):
        monkeypatch.setenv(variable, str(path) if by == "path" else path.read_text())
    signature = keys().sign("something")
    assert signature is not None
    assert Keys(public=verify_keys()).is_signed("something", signature)
    assert not Keys(public=verify_keys()).is_signed("another", signature)


def test_a_private_key_verifies_what_it_signed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNING, str(pair.signing))
    found = keys()
    assert found.is_signed("text", str(found.sign("text")))
    assert verify_keys() == {}


def test_an_old_secret_verifies_and_signs_only_alone(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED, "s" * 32)
    old = str(keys().sign("text"))
    pair.use(monkeypatch)
    assert str(keys().sign("text")).startswith("ed25519:")
    assert keys().is_signed("text", old)


@pytest.mark.parametrize("variable", [SIGNING, VERIFY])
@pytest.mark.parametrize(
    "value",
    [
        "/nowhere/secret-path.pem",
        "secret\0path",
        "-----BEGIN" + " PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nsecret\n-----END PUBLIC KEY-----",
        "-----BEGIN",
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    # The system's variables cannot hold every text that a file's name could.
    monkeypatch.setattr("os.environ", {variable: value})
    with pytest.raises(SigningKeyError, match=variable) as caught:
        keys()
    assert "secret" not in str(caught.value)


def test_keys_of_another_kind_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import x25519

    key, pem = x25519.X25519PrivateKey.generate(), serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(pem, kind)
    for variable, text in ((SIGNING, private), (VERIFY, public)):
        with monkeypatch.context() as patch:
            patch.setenv(variable, text.decode())
            with pytest.raises(SigningKeyError, match="not of Ed25519"):
                keys()


def test_the_commands_replace_no_file_and_hide_the_private_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_keys(tmp_path), make_keys(tmp_path)
    assert first != second and len([*tmp_path.iterdir()]) == 4
    assert first.signing.stat().st_mode & 0o077 == 0
    second.use(monkeypatch)
    third = make_keys(tmp_path, "rotate")
    monkeypatch.setenv(VERIFY, str(second.verify))
    (old,) = verify_keys()
    monkeypatch.setenv(VERIFY, str(third.verify))
    assert len(verify_keys()) == 2 and old in verify_keys()
    assert all(name == name_of(key) for name, key in verify_keys().items())


def test_where_no_key_is_set_the_library_is_not_loaded() -> None:
    program = (
        "import sys; from ml_assets.core.signing import keys; assert not keys();"
        "import ml_assets.records.signed_plan; assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
