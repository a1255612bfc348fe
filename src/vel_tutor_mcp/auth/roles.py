"""Who may do what: ONE table of role by operation, and how far it reaches. (Pure.)

What somebody may change they may also see: a service asks `permit` whether the role has the operation at all, and finds
things only within `reach` of what the role may read.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from vel_tutor_mcp.errors import Forbidden
from vel_tutor_mcp.models import Principal, Role


class Reach(IntEnum):
    """Whose things an operation may be done to: nobody's, one's own, all of one's organisation, all there are."""

    NOBODY = 0
    OWN = 1
    ORGANISATION = 2
    INSTALLATION = 3


class Operation(StrEnum):
    """What can be asked for; its value is in the audit trail."""

    AGENT_READ = "agent_read"
    AGENT_WRITE = "agent_write"
    WORKFLOW_READ = "workflow_read"
    WORKFLOW_WRITE = "workflow_write"
    TASK_READ = "task_read"
    TASK_SUBMIT = "task_submit"
    TASK_CHANGE = "task_change"
    RUN_READ = "run_read"
    RUN_START = "run_start"
    RUN_CHANGE = "run_change"
    ROUTE_EXPLAIN = "route_explain"
    USAGE_READ = "usage_read"
    ALERT_READ = "alert_read"
    ALERT_WRITE = "alert_write"
    BUDGET_READ = "budget_read"
    BUDGET_WRITE = "budget_write"
    INTEGRATION_READ = "integration_read"
    INTEGRATION_WRITE = "integration_write"
    INTEGRATION_ROTATE = "integration_rotate"
    WEBHOOK_READ = "webhook_read"
    WEBHOOK_WRITE = "webhook_write"
    AUDIT_READ = "audit_read"
    AUDIT_EXPORT = "audit_export"
    PROFILE_READ = "profile_read"
    PROFILE_WRITE = "profile_write"
    USER_READ = "user_read"
    USER_WRITE = "user_write"
    LIMIT_READ = "limit_read"
    LIMIT_WRITE = "limit_write"
    TASKMASTER_READ = "taskmaster_read"
    TASKMASTER_PLAN = "taskmaster_plan"
    TASKMASTER_RUN = "taskmaster_run"
    METRICS_READ = "metrics_read"
    TOKEN_ISSUE = "token_issue"  # noqa: S105 - an operation's name


_NOBODY, _OWN, _ORGANISATION, _ALL = Reach
_Row = tuple[Reach, Reach, Reach, Reach, Reach]

# Members see what is theirs; an agent manager keeps the organisation's agents and workflows; who manages or only looks
# sees what the organisation spends. Prompts, answers and the trail are for whom they are of, and for administrators.
_COLUMNS: tuple[Role, ...] = ("admin", "org_admin", "agent_manager", "task_executor", "viewer")
_READ_OWN: _Row = (_ORGANISATION, _ORGANISATION, _OWN, _OWN, _OWN)
_WRITE_OWN: _Row = (_ORGANISATION, _ORGANISATION, _OWN, _OWN, _NOBODY)
_READ_MANAGED: _Row = (_ORGANISATION, _ORGANISATION, _ORGANISATION, _OWN, _OWN)
_WRITE_MANAGED: _Row = (_ORGANISATION, _ORGANISATION, _ORGANISATION, _OWN, _NOBODY)
_TABLE: Mapping[Operation, _Row] = {
    Operation.AGENT_READ: _READ_MANAGED,
    Operation.AGENT_WRITE: _WRITE_MANAGED,
    Operation.WORKFLOW_READ: _READ_MANAGED,
    Operation.WORKFLOW_WRITE: _WRITE_MANAGED,
    Operation.TASK_READ: _READ_OWN,
    Operation.TASK_SUBMIT: _WRITE_OWN,
    Operation.TASK_CHANGE: _WRITE_OWN,
    Operation.RUN_READ: _READ_OWN,
    Operation.RUN_START: _WRITE_OWN,
    Operation.RUN_CHANGE: _WRITE_OWN,
    Operation.ROUTE_EXPLAIN: _READ_MANAGED,
    Operation.USAGE_READ: (_ORGANISATION, _ORGANISATION, _ORGANISATION, _OWN, _ORGANISATION),
    Operation.ALERT_READ: (_ORGANISATION, _ORGANISATION, _ORGANISATION, _OWN, _ORGANISATION),
    Operation.ALERT_WRITE: _WRITE_MANAGED,
    Operation.BUDGET_READ: _READ_OWN,
    Operation.BUDGET_WRITE: _WRITE_OWN,
    Operation.INTEGRATION_READ: _READ_OWN,
    Operation.INTEGRATION_WRITE: _WRITE_OWN,
    Operation.INTEGRATION_ROTATE: (_ALL, _NOBODY, _NOBODY, _NOBODY, _NOBODY),
    Operation.WEBHOOK_READ: _WRITE_OWN,
    Operation.WEBHOOK_WRITE: _WRITE_OWN,
    Operation.AUDIT_READ: _READ_OWN,
    Operation.AUDIT_EXPORT: (_ALL, _ORGANISATION, _OWN, _OWN, _OWN),
    Operation.PROFILE_READ: (_OWN, _OWN, _OWN, _OWN, _OWN),
    Operation.PROFILE_WRITE: (_OWN, _OWN, _OWN, _OWN, _OWN),
    Operation.TOKEN_ISSUE: (_ALL, _ORGANISATION, _OWN, _OWN, _OWN),
    Operation.USER_READ: (_ALL, _ORGANISATION, _NOBODY, _NOBODY, _NOBODY),
    Operation.USER_WRITE: (_ALL, _ORGANISATION, _NOBODY, _NOBODY, _NOBODY),
    Operation.LIMIT_READ: (_ALL, _ORGANISATION, _OWN, _OWN, _OWN),
    Operation.LIMIT_WRITE: (_ALL, _NOBODY, _NOBODY, _NOBODY, _NOBODY),
    # Of all organisations together.
    Operation.METRICS_READ: (_ALL, _NOBODY, _NOBODY, _NOBODY, _NOBODY),
    # Projects are folders of the server's machine.
    Operation.TASKMASTER_READ: (_ALL, _NOBODY, _NOBODY, _NOBODY, _NOBODY),
    Operation.TASKMASTER_RUN: (_ALL, _NOBODY, _NOBODY, _NOBODY, _NOBODY),
    Operation.TASKMASTER_PLAN: (_ALL, _NOBODY, _NOBODY, _NOBODY, _NOBODY),
}
_REACH = {(role, operation): row[column] for operation, row in _TABLE.items() for column, role in enumerate(_COLUMNS)}
# Nobody gives a role that may do more than their own.
_GIVES: Mapping[Role, frozenset[Role]] = {
    "admin": frozenset(_COLUMNS),
    "org_admin": frozenset(_COLUMNS) - {"admin"},
}
# What lets somebody in, or keeps them in: no client may do so, whatever the role of whom it speaks for.
_IN_PERSON = frozenset({Operation.PROFILE_WRITE, Operation.TOKEN_ISSUE, Operation.USER_WRITE})


def reach(role: Role, operation: Operation) -> Reach:
    """How far the operation reaches for who has the role."""
    return _REACH[role, operation]


def may(role: Role, operation: Operation) -> bool:
    """Whether who has the role may do it to anything at all."""
    return reach(role, operation) > Reach.NOBODY


def may_to(principal: Principal, operation: Operation, organisation_id: str, owner_id: str) -> bool:
    """Whether the principal may do it to a thing of this owner in this organisation."""
    match reach(principal.role, operation):
        case Reach.INSTALLATION:
            return True
        case Reach.ORGANISATION:
            return organisation_id == principal.organisation_id
        case Reach.OWN:
            return (organisation_id, owner_id) == (principal.organisation_id, principal.user_id)
        case Reach.NOBODY:
            return False


def may_give(giver: Role, role: Role) -> bool:
    """Whether who has the role `giver` may give somebody the other role, or take it away."""
    return role in _GIVES.get(giver, frozenset())


def permit(principal: Principal, operation: Operation) -> None:
    """Go on only where the principal's role has the operation, and they came in by what it needs.

    Raises:
        Forbidden: it has not, or they did not.
    """
    if not may(principal.role, operation):
        raise Forbidden(
            f"You may not do this; the role {principal.role} has no {operation}; ask an administrator of your "
            "organisation."
        )
    if operation in _IN_PERSON and principal.by != "sign_in":
        raise Forbidden(
            f"You may not do this with a client's token; {operation} is for people, and a client only speaks for one; "
            "sign in with your password."
        )


def operations_of(principal: Principal) -> list[Operation]:
    """What the principal may do to anything at all, by name."""
    in_person = frozenset() if principal.by == "sign_in" else _IN_PERSON
    return sorted(name for name in Operation if may(principal.role, name) and name not in in_person)


def is_own_word(principal: Principal) -> bool:
    """Whether what the principal decides is their own word: else a program says it, with a token that it was given."""
    return principal.by != "client"
