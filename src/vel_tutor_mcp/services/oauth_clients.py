"""Clients of OAuth: those that register themselves, and those that are known by a document at an https address."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.auth.networks import network
from vel_tutor_mcp.auth.oauth import Client, check_redirect_uri, is_document
from vel_tutor_mcp.errors import InputError, OAuthRefused
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record, throttle
from vel_tutor_mcp.services.lookup import spelt
from vel_tutor_mcp.store import audit, oauth_clients
from vel_tutor_mcp.store.database import Database, Transaction, unbroken

Fetch = Callable[[str], Awaitable[bytes]]

# Somebody may register a client today and sign in by it after their holidays; who never does is forgotten.
UNUSED_LIVES = timedelta(days=30)
# A client that finds itself unknown cannot help itself: it is kept far longer than what it was allowed.
USED_LIVES = timedelta(days=366)
# The oldest make room: a flood of registrations then keeps nobody else from registering.
_MOST_UNUSED = 1000
_MOST_URIS = 10
_LONGEST_NAME = 100
_DOCUMENT_LIVES = timedelta(minutes=15)
_FAILURE_LIVES = timedelta(minutes=1)
_MOST_DOCUMENTS = 500


@dataclass(frozen=True, slots=True)
class _Known:
    """What a document said, or why it cannot be used, until then."""

    client: Client | OAuthRefused
    until: datetime


class Clients:
    """`fetch` reads documents; None: clients register themselves. `nobody` is in whose name that is on record."""

    def __init__(self, database: Database, nobody: Principal, fetch: Fetch | None) -> None:
        self._database = database
        self._nobody = nobody
        self._fetch = fetch
        self._documents: dict[str, _Known] = {}

    async def register(self, metadata: Any, address: str) -> Client:
        """A new client, as RFC 7591 has it describe itself; it is public whatever it asked for, for it has no secret.

        Raises:
            OAuthRefused: the description cannot be used. TooManyTries: from this address.
        """
        client = _described(str(uuid4()), metadata)
        await self._admit("registration_throttled", f"register:{network(address)}", address)
        await self._insert(client, address)
        return client

    async def find(self, client_id: str, address: str) -> Client:
        """The client of this id.

        Raises:
            OAuthRefused: there is none. TooManyTries: documents were asked for too often from this address.
        """
        if self._fetch is not None and is_document(client_id):
            return await self._of_document(self._fetch, client_id, address)
        client = await self._get(spelt(client_id)) if spelt(client_id) else None
        if client is None:
            raise OAuthRefused(
                "invalid_client",
                "The client is not known; it never registered here, or was not used for long; remove this server from "
                "the client and add it again.",
            )
        return client

    async def note_use(self, tx: Transaction, client_id: str | None, at: datetime) -> None:
        """Somebody came in by the client: if it registered itself, it stays registered."""
        if client_id and spelt(client_id):
            await oauth_clients.note_use(tx, client_id, at, at + USED_LIVES)

    async def _of_document(self, fetch: Fetch, url: str, address: str) -> Client:
        known = self._documents.get(url)
        if known is None or known.until <= record.now():
            await self._admit("document_throttled", f"document:{network(address)}", address)
            known = self._documents[url] = await _looked_up(fetch, url)
            while len(self._documents) > _MOST_DOCUMENTS:
                self._documents.pop(next(iter(self._documents)))
        if isinstance(known.client, OAuthRefused):
            # A new one each time: the kept one would gather a traceback with each raise.
            raise OAuthRefused(known.client.error, str(known.client))
        return known.client

    async def _admit(self, action: str, subject: str, address: str) -> None:
        async def refused(tx: Transaction) -> None:
            await audit.append(tx, self._nobody, action, "oauth", {"address": address}, record.now())

        await throttle.admit(self._database, (subject,), refused)

    @unbroken
    async def _insert(self, client: Client, address: str) -> None:
        async with self._database.write(self._nobody.organisation_id) as tx:
            at = record.now()
            # One less, for the one that comes.
            await oauth_clients.forget(tx, at, _MOST_UNUSED - 1)
            await oauth_clients.insert(tx, client, at, at + UNUSED_LIVES)
            facts = {"name": client.name, "redirect_uris": list(client.redirect_uris), "address": address}
            await audit.append(tx, self._nobody, "client_registered", f"client:{client.id}", facts, at)

    @unbroken
    async def _get(self, client_id: str) -> Client | None:
        async with self._database.read(self._nobody.organisation_id) as tx:
            return await oauth_clients.get(tx, client_id, record.now())


async def _looked_up(fetch: Fetch, url: str) -> _Known:
    try:
        return _Known(_in_document(url, await fetch(url)), record.now() + _DOCUMENT_LIVES)
    except InputError as problem:
        refusal = OAuthRefused("invalid_client", f"The client's document at its address is not used. {problem}")
        return _Known(refusal, record.now() + _FAILURE_LIVES)


def _in_document(url: str, content: bytes) -> Client:
    """Raises:
    InputError: it is no description of a client at this address.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("client_id") != url:
        raise InputError("It is no JSON object whose client_id is its own address; correct it.")
    return _described(url, document)


def _described(client_id: str, metadata: Any) -> Client:
    """Raises:
    OAuthRefused: neither what it calls itself nor where it wants to be answered may be missing or out of bounds.
    """
    uris = metadata.get("redirect_uris") if isinstance(metadata, dict) else None
    if not isinstance(uris, list) or not 0 < len(uris) <= _MOST_URIS or not all(isinstance(uri, str) for uri in uris):
        raise OAuthRefused(
            "invalid_redirect_uri", f"The redirect URIs are not taken; there are 1 to {_MOST_URIS}; correct them."
        )
    try:
        for uri in uris:
            check_redirect_uri(uri)
    except InputError as problem:
        raise OAuthRefused("invalid_redirect_uri", str(problem)) from None
    return Client(id=client_id, name=_name(metadata.get("client_name")), redirect_uris=tuple(uris))


def _name(given: Any) -> str:
    if given is None:
        return "A client without a name"
    if not isinstance(given, str) or not given.strip() or len(given) > _LONGEST_NAME or not given.isprintable():
        raise OAuthRefused(
            "invalid_client_metadata",
            f"The client's name is not taken; it has 1 to {_LONGEST_NAME} printable characters; correct it.",
        )
    return given.strip()
