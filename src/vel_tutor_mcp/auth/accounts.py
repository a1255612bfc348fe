"""Who has an account, what their tokens are good by, and how often they may ask."""

from dataclasses import dataclass
from datetime import datetime

from vel_tutor_mcp.models import By, Principal, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user as administrators see them; `organisation` is its name. The operating system's users have no e-mail.

    `subject` is what an outside issuer calls them.
    """

    id: str
    organisation_id: str
    organisation: str
    name: str
    email: str | None
    role: Role
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None
    subject: str | None = None

    @property
    def principal(self) -> Principal:
        return Principal(user_id=self.id, organisation_id=self.organisation_id, name=self.name, role=self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What tokens are good by until it expires or is revoked: a sign-in, a token issued to a client by a name, or what
    somebody allowed the client `client_id` by OAuth.
    """

    id: str
    owner_id: str
    organisation_id: str
    kind: By
    name: str | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking with a token, by which grant (an outside issuer's token is by none), and until when it is good."""

    principal: Principal
    grant_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How often somebody may ask over HTTP; None where nothing is set."""

    tasks_per_hour: int | None = None
    requests_per_minute: int | None = None
