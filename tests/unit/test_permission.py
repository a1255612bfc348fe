"""No operation of a service is done for somebody without a look at what their role allows."""

import inspect

import pytest
from operations import WITHIN, operations

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import Principal


def test_the_services_are_looked_through() -> None:
    some = {"tasks.submit", "agents.create", "runs.decide", "workflows.save", "accounts.create", "access.issue"}
    assert some | WITHIN <= operations().keys()


@pytest.mark.parametrize("name", sorted(operations().keys() - WITHIN))
def test_an_operation_begins_with_what_it_needs(name: str) -> None:
    method = operations()[name]
    assert isinstance(getattr(method, "operation", None), Operation)
    assert list(inspect.signature(method).parameters.values())[1].annotation is Principal
