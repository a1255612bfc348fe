"""No operation of a service is done for somebody without a look at what their role allows."""

import inspect

import pytest
from operations import WITHIN, operations

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import Principal, Role
from vel_tutor_mcp.services.permission import HasDatabase, acts_for, allows
from vel_tutor_mcp.store.database import INSTALLATION


def test_the_services_are_looked_through() -> None:
    some = {"tasks.submit", "agents.create", "runs.decide", "workflows.save", "accounts.create", "access.issue"}
    assert some | WITHIN <= operations().keys()


@pytest.mark.parametrize("name", sorted(operations().keys() - WITHIN))
def test_an_operation_begins_with_what_it_needs(name: str) -> None:
    method = operations()[name]
    assert isinstance(getattr(method, "operation", None), Operation)
    assert list(inspect.signature(method).parameters.values())[1].annotation is Principal


@pytest.mark.parametrize("operation", Operation)
def test_an_operation_is_known_by_its_name(operation: Operation) -> None:
    async def method(_: HasDatabase, __: Principal) -> None: ...

    assert vars(allows(operation)(method))["operation"] is operation


@pytest.mark.parametrize(
    ("role", "operation", "whose"),
    [
        ("admin", Operation.USER_WRITE, INSTALLATION),
        ("org_admin", Operation.USER_WRITE, "here"),
        ("admin", Operation.TASK_READ, "here"),
        ("task_executor", Operation.TASK_READ, "here"),
        ("viewer", Operation.USER_WRITE, "here"),
    ],
)
def test_a_transaction_is_for_all_only_where_the_role_reaches_so_far(
    role: Role, operation: Operation, whose: str
) -> None:
    assert acts_for(Principal(user_id="me", organisation_id="here", name="me", role=role), operation) == whose
