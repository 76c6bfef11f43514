"""An identity provider: its configuration, its keys and its tokens, over real HTTP."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

Key = RSAKey | ECKey | OKPKey


def new_key(kid: str, algorithm: str = "ES256") -> Key:
    """A pair of keys for an algorithm."""
    parameters = {"kid": kid, "alg": algorithm, "use": "sig"}
    if algorithm.startswith("ES"):
        return ECKey.generate_key("P-256", parameters)
    if algorithm.startswith("Ed"):
        return OKPKey.generate_key("Ed25519", parameters)
    return RSAKey.generate_key(2048, parameters)


class IdentityProvider:
    """Serves the public keys that it signs with.

    Attributes
    ----------
    keys
        Those that it publishes; the first signs.
    fault
        An HTTP status that is answered instead, or None.
    asked
        Paths of the requests that came.
    """

    def __init__(self, *keys: Key) -> None:
        self.keys = [*keys] or [new_key("first")]
        self.fault: int | None = None
        self.asked: list[str] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                found = json.dumps(provider._document(self.path)).encode()
                self.send_response(provider.fault or 200)
                self.send_header("content-length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/realms/acme"

    def _document(self, path: str) -> dict[str, Any]:
        if path.endswith("/.well-known/openid-configuration"):
            return {"issuer": self.url, "jwks_uri": f"{self.url}/certs"}
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    @contextlib.contextmanager
    def running(self) -> Iterator["IdentityProvider"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def issuer(self, **changes: Any) -> dict[str, Any]:
        """As the file of callers has it: the scope ``ml`` may do everything."""
        grant = {"value": "ml", "models": ["*"], "routes": ["admin"]}
        return {
            **{"id": "acme", "issuer": self.url, "audience": "ml-assets"},
            "grants": [grant],
        } | changes

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        return {
            **{"iss": self.url, "aud": "ml-assets", "sub": "ann", "scope": "ml"},
            **{"iat": now, "exp": now + 3_600},
        } | changes

    def token(self, key: Key | None = None, **changes: Any) -> str:
        """A token, signed by the first key unless by another."""
        key = key or self.keys[0]
        header = {"alg": str(key.alg), "kid": str(key.kid)}
        claims = {n: v for n, v in self.claims(**changes).items() if v is not None}
        return jwt.encode(header, claims, key, algorithms=[str(key.alg)])
