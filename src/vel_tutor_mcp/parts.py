"""Parts of the product that need its settings and its database alone: `app` wires them to the rest, and commands that
open nothing else make them too.
"""

from functools import partial
from ipaddress import ip_network
from pathlib import Path

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.services.access import Access
from vel_tutor_mcp.services.accounts import Accounts
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.audit.trail import Audit
from vel_tutor_mcp.services.bridge import Bridge
from vel_tutor_mcp.services.bridged import BridgeStore
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.credentials import Credentials
from vel_tutor_mcp.services.documents import fetch_document
from vel_tutor_mcp.services.integrations import Integrations
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.services.oauth import OAuth
from vel_tutor_mcp.services.oauth_clients import Clients
from vel_tutor_mcp.services.outside import Outside
from vel_tutor_mcp.services.secret_keys import secret_keys_of
from vel_tutor_mcp.services.webhooks.hooks import Webhooks
from vel_tutor_mcp.settings import Settings, parts_of
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.sqlite import SqliteDatabase
from vel_tutor_mcp.taskmaster.children import Children
from vel_tutor_mcp.taskmaster.known import Known


def coming_in(database: Database, settings: Settings, principal: Principal) -> tuple[Accounts, Access, OAuth]:
    """Who there is, what lets them in, and what lets their clients in; `principal` is the local user."""
    url, issuer = settings.public_url, settings.oidc_issuer
    credentials = Credentials(database, principal.organisation_id)
    keyring = Keyring(database, settings.home, url)
    fetch = partial(fetch_document, outbound_of(settings)) if settings.client_documents else None
    clients = Clients(database, credentials.nobody, fetch)
    oauth = OAuth(database, credentials, keyring, url, clients)
    outside = Outside(database, issuer, url) if issuer else None
    return Accounts(database, credentials, issuer), Access(database, credentials, keyring, outside), oauth


def task_master(
    database: Database, settings: Settings, admission: Admission, conductor: Conductor
) -> tuple[Known, Children, Bridge]:
    """The projects that are known, their servers, and what works on them."""
    known = Known(settings.home / "projects")
    children = Children(settings.task_master_command, settings.home / "task-master")
    store = BridgeStore(database, admission, conductor)
    shared = not isinstance(database, SqliteDatabase)
    return known, children, Bridge(store, conductor, children, known, shared=shared, learned=settings.learned_routing)


def trail(database: Database, settings: Settings) -> tuple[Audit, Keeping]:
    """The audit trail, and what signs and archives it."""
    keys, archives = Keys(settings), archives_of(settings, database)
    return Audit(database, keys, archives), Keeping(database, keys, archives, settings.audit_days)


def archives_of(settings: Settings, database: Database) -> Path | None:
    """Where old audit entries go. A shared database keeps them until it is said which folder lasts."""
    own = settings.home / "audit" if isinstance(database, SqliteDatabase) else None
    return settings.audit_archive or own


def integrations_of(database: Database, settings: Settings, catalog: Catalog) -> Integrations:
    """The integrations in the database; no secret key is read yet."""
    base_urls = {name: settings.base_url_of(name) or row.base_url for name, row in catalog.providers.items()}
    return Integrations(database, secret_keys_of(settings), base_urls, outbound_of(settings))


def webhooks_of(database: Database, settings: Settings) -> Webhooks:
    """The webhooks in the database, and what sends to them; no secret key is read yet."""
    return Webhooks(database, secret_keys_of(settings), outbound_of(settings))


def outbound_of(settings: Settings) -> Outbound:
    """Where URLs may lead that come from users."""
    return Outbound(tuple(ip_network(text) for text in parts_of(settings.private_networks)))
