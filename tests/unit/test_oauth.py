"""What OAuth is asked with: addresses of clients, proofs, resources, parameters, and what the server says of itself."""

import re
from html.parser import HTMLParser

import pytest
from mcp.shared.auth import OAuthMetadata

from vel_tutor_mcp.auth.oauth import (
    Asked,
    Client,
    check_redirect_uri,
    destination,
    is_document,
    is_registered,
    is_served,
    proves,
    source,
)
from vel_tutor_mcp.doors.oauth.browser import form_token, is_form_of
from vel_tutor_mcp.doors.oauth.endpoints import metadata
from vel_tutor_mcp.doors.oauth.forms import sent
from vel_tutor_mcp.doors.oauth.pages import page
from vel_tutor_mcp.errors import InputError, OAuthRefused

URL = "https://tutor.example"
# From appendix B of RFC 7636.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/callback", "https://client.example:8443/a?b=c", "http://127.0.0.1/callback",
        "http://127.0.0.1:33418/", "http://localhost:6274/oauth/callback", "http://[::1]:9/", "cursor://mcp/callback",
        "vscode://vscode.mcp/auth", "com.example.app:/callback",
    ],
)  # fmt: skip
def test_answers_may_go_to_the_web_by_tls_to_this_computer_and_to_desktop_clients(uri: str) -> None:
    check_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "", "callback", "//client.example/", "http://client.example/", "http://127.0.0.1.client.example/",
        "http://127.0.0.2/", "https:///callback", "https://user@client.example/", "https://client.example/#part",
        "https://client.example/a b", "https://client.example/\r\nlocation:x", "https://client.example\\@evil.example/",
        "https://*.client.example/", "https://client.example:port/", "javascript:alert(1)", "data:text/html,x",
        "file:///etc/passwd", "blob:https://client.example/x", "mailto:somebody@client.example", "cursor:",
        "https://cl\u0131ent.example/", f"https://client.example/{'x' * 500}", 'https://client.example/"><script>',
    ],
)  # fmt: skip
def test_answers_go_nowhere_else(uri: str) -> None:
    with pytest.raises(InputError, match="redirect URI is not taken"):
        check_redirect_uri(uri)


@pytest.mark.parametrize(
    ("registered", "given", "fits"),
    [
        ("https://client.example/cb", "https://client.example/cb", True),
        ("https://client.example/cb", "https://client.example/cb/", False),
        ("https://client.example/cb", "https://client.example/cb?next=x", False),
        ("https://client.example/cb", "https://client.example/cb/../evil", False),
        ("https://client.example/cb", "https://client.example:8443/cb", False),
        ("https://client.example/cb", "https://CLIENT.example/cb", False),
        ("https://client.example/cb", "https://client.example.evil.example/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:33418/cb", True),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb", True),
        ("http://[::1]:1/cb", "http://[::1]:2/cb", True),
        ("http://localhost:1/cb", "http://localhost/cb", True),
        ("http://localhost:1/cb", "http://127.0.0.1:1/cb", False),
        ("http://127.0.0.1:1/cb", "https://127.0.0.1:1/cb", False),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1/other", False),
        ("http://127.0.0.1:1/cb", "http://x@127.0.0.1:1/cb", False),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1@evil.example/cb", False),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1/cb#x", False),
        ("cursor://mcp/cb", "cursor://mcp/cb", True),
        ("cursor://mcp/cb", "cursor://mcp:1/cb", False),
        ("cursor://mcp/cb", "", False),
    ],
)
def test_an_address_is_the_registered_one_to_the_letter_but_for_the_port_on_loopback(
    registered: str, given: str, *, fits: bool
) -> None:
    assert is_registered(given, [registered]) is fits


def test_a_verifier_proves_its_own_challenge_alone() -> None:
    assert proves(VERIFIER, CHALLENGE)
    for wrong in ("", VERIFIER[:-1], VERIFIER + "A", VERIFIER[::-1], CHALLENGE, "é" * 43, VERIFIER * 3):
        assert not proves(wrong, CHALLENGE)


@pytest.mark.parametrize(
    ("resource", "ours"),
    [
        (URL, True), (f"{URL}/", True), (f"{URL}/mcp", True), (f"{URL}/sse", True), (f"{URL}/mcp/x", False),
        ("https://other.example", False), (f"{URL}.evil.example", False), ("http://tutor.example", False), ("", False),
    ],
)  # fmt: skip
def test_tokens_are_for_this_server_and_its_ways_in(resource: str, *, ours: bool) -> None:
    assert is_served(resource, URL) is ours


@pytest.mark.parametrize(
    ("client_id", "is_one"),
    [
        ("https://client.example/mcp.json", True), ("https://client.example:8443/a/b", True),
        ("https://client.example", False), ("https://client.example/", False), ("http://client.example/a", False),
        ("https://u@client.example/a", False), ("https://client.example/a#b", False), ("https:///a", False),
        ("https://client.example/a/../b", False), (f"https://client.example/{'x' * 300}", False),
        ("2c1bd13c-7d1a-4d0d-a1a6-6d8f0a8a2c11", False), ("", False),
    ],
)  # fmt: skip
def test_a_client_may_be_known_by_a_document_at_an_https_address_with_a_path(client_id: str, *, is_one: bool) -> None:
    assert is_document(client_id) is is_one


@pytest.mark.parametrize(
    ("uri", "words", "policy"),
    [
        ("https://client.example/cb", "client.example", "https://client.example"),
        ("http://127.0.0.1:33418/cb", "a program on this computer", "http://127.0.0.1:33418"),
        ("http://[::1]:1/cb", "a program on this computer", "http:"),
        ("cursor://mcp/cb", "the program that opens cursor: links", "cursor:"),
    ],
)
def test_a_person_and_their_browser_are_told_where_the_answer_goes(uri: str, words: str, policy: str) -> None:
    assert (destination(uri), source(uri)) == (words, policy)


@pytest.mark.parametrize("text", ["state=1&state=2", "a=%ff", "&".join(f"a{number}=" for number in range(99))])
def test_parameters_come_once_and_can_be_read(text: str) -> None:
    with pytest.raises(OAuthRefused) as refusal:
        sent(text)
    assert refusal.value.error == "invalid_request"


def test_a_form_is_good_for_its_own_session_and_request_alone() -> None:
    def asked(redirect_uri: str, state: str | None = None) -> Asked:
        client = Client(id="c", name="n", redirect_uris=())
        return Asked(client=client, redirect_uri=redirect_uri, challenge=CHALLENGE, state=state)

    token = form_token("mine", asked("cursor://a"))
    assert is_form_of(token, "mine", asked("cursor://a"))
    assert not is_form_of(token, "theirs", asked("cursor://a"))
    assert not is_form_of(token, "mine", asked("cursor://b"))
    assert not is_form_of(token, "mine", asked("cursor://a", "x"))
    assert not is_form_of("", "mine", asked("cursor://a"))


def test_the_sdk_reads_what_the_server_says_of_itself() -> None:
    read = OAuthMetadata.model_validate(metadata(URL, documents=True))
    assert str(read.issuer) == URL
    assert read.code_challenge_methods_supported == ["S256"]
    assert read.token_endpoint_auth_methods_supported == ["none"]
    assert read.authorization_response_iss_parameter_supported
    assert read.client_id_metadata_document_supported
    assert not OAuthMetadata.model_validate(metadata(URL, documents=False)).client_id_metadata_document_supported


class Fields(HTMLParser):
    """The fields of a page by name, the ids that there are, and the elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.ids: set[str] = set()
        self.labelled: set[str] = set()
        self.elements: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.elements.add(tag)
        self.ids.add(told.get("id") or "")
        self.labelled.add(told.get("for") or "")
        if tag == "input" and told.get("type") != "hidden":
            self.fields[told["name"] or ""] = told


@pytest.mark.parametrize("wrong", ["", "E-mail or password are <wrong>"])
def test_the_page_is_safe_loads_nothing_and_ties_what_is_wrong_to_its_fields(wrong: str) -> None:
    client = Client(id="c", name='<script>alert("1")</script>', redirect_uris=())
    answer = page("sign_in", 200, client=client, action="/x?a=1&b=2", form="f", wrong=wrong, email='"><img>')
    text = bytes(answer.body).decode()
    fields = Fields(text)
    assert not fields.elements & {"script", "img", "link", "iframe", "object"}
    assert not re.search(r"url\(|@import|https?://| on\w+=", text)
    assert fields.fields.keys() == {"email", "password"}
    for field in fields.fields.values():
        assert field["id"] in fields.labelled
        assert (field.get("aria-describedby") in fields.ids) is bool(wrong)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "form-action 'self'; frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
