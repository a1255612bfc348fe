"""An outside issuer in this process: it publishes keys on loopback, counts who asks, and signs what a test wants."""

import asyncio
import base64
import hmac
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import get_default_algorithms

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = Ed25519PrivateKey.generate()


def published(private: Any, kid: str | None, algorithm: str, **changes: Any) -> dict[str, Any]:
    """The public half as a JWK, with some members changed, or left out where they are None."""
    public = get_default_algorithms()[algorithm].to_jwk(private.public_key(), as_dict=True)
    row = {**public, "kid": kid, "use": "sig", "alg": algorithm, **changes}
    return {name: value for name, value in row.items() if value is not None}


def claims(issuer: str, audience: Any, **changes: Any) -> dict[str, Any]:
    """Those of an access token that is good now, with some changed, or left out where they are None."""
    at = datetime.now(UTC)
    content = {
        "iss": issuer, "aud": audience, "sub": "someone", "iat": at, "exp": at + timedelta(hours=1), **changes
    }  # fmt: skip
    return {name: value for name, value in content.items() if value is not None}


def signed(content: Mapping[str, Any], key: Any, kid: str | None, algorithm: str = "RS256", **header: Any) -> str:
    named = {"kid": kid} if kid is not None else {}
    return jwt.encode(dict(content), key, algorithm=algorithm, headers={"typ": "at+jwt", **named, **header})


def by_public_key(token: str) -> str:
    """The token as HS256 would sign it with the public key for its secret, which PyJWT does not do."""
    head, body, _ = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(head + "==")) | {"alg": "HS256"}
    head = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    secret = RSA_KEY.public_key().public_bytes(encoding, form)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, f"{head}.{body}".encode(), "sha256"))
    return f"{head}.{body}.{signature.rstrip(b'=').decode()}"


class Issuer:
    """`answers` are bodies, or statuses, by path; `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}
        self.silent = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.document = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        self.answers["/.well-known/openid-configuration"] = self.document
        self.publish(published(RSA_KEY, "first", "RS256"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self._server.wait_closed()

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.close()

    def publish(self, *keys: Mapping[str, Any]) -> None:
        self.answers["/jwks"] = {"keys": list(keys)}

    def token(self, audience: str, kid: str = "first", key: Any = RSA_KEY, **changes: Any) -> str:
        return signed(claims(self.url, audience, **changes), key, kid)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self.asked.append(path)
            if self.silent:
                await reader.read()  # until the client has had enough
            else:
                writer.write(_reply(self.answers.get(path, 404)))
                await writer.drain()
        writer.close()


def _reply(answer: Any) -> bytes:
    status, body = (answer, "") if isinstance(answer, int) else (200, answer)
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} So\r\nlocation: /jwks\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
    return head.encode() + content
