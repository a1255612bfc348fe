"""Who may do what: every role, operation and owner, against the table that users read."""

import re
from pathlib import Path
from typing import get_args

import pytest

from vel_tutor_mcp.auth.roles import Operation, is_own_word, may, may_give, may_to, operations_of, permit
from vel_tutor_mcp.errors import Forbidden
from vel_tutor_mcp.models import By, Principal, Role

PAGE = Path(__file__).parents[2] / "docs" / "accounts.md"
ROLES: tuple[Role, ...] = get_args(Role)
# Whose a thing is, by its organisation and owner; the asking one is `me` of `here`.
WHOSE = {"own": ("here", "me"), "organisation": ("here", "you"), "all": ("there", "them")}
ORDER = ["own", "organisation", "all"]


def told() -> dict[tuple[str, str], str]:
    """The table of the page: how far each role's operations reach."""
    rows = [re.findall(r"[a-z_]+|(?<=\| )-", line) for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    head, *body = rows
    return {(role, row[0]): cell for row in body for role, cell in zip(head[1:], row[1:], strict=True)}


def asking(role: Role, by: By = "sign_in") -> Principal:
    return Principal(user_id="me", organisation_id="here", name="me", role=role, by=by)


def test_the_page_has_every_role_and_operation() -> None:
    assert set(told()) == {(role, operation.value) for role in ROLES for operation in Operation}


@pytest.mark.parametrize("whose", ORDER)
@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_as_far_as_the_page_says(role: Role, operation: Operation, whose: str) -> None:
    reach = told()[role, operation]
    expected = reach in ORDER and ORDER.index(whose) <= ORDER.index(reach)
    assert may_to(asking(role), operation, *WHOSE[whose]) is expected


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("role", ROLES)
def test_an_operation_that_a_role_has_not_is_refused_whatever_it_is_done_to(role: Role, operation: Operation) -> None:
    if told()[role, operation] == "-":
        assert not may(role, operation)
        with pytest.raises(Forbidden, match=f"{role}.*{operation}"):
            permit(asking(role), operation)
    else:
        permit(asking(role), operation)


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("by", get_args(By))
def test_what_lets_somebody_in_is_for_people_who_signed_in_themselves(by: By, operation: Operation) -> None:
    if by != "sign_in" and operation in {"profile_write", "token_issue", "user_write"}:
        with pytest.raises(Forbidden, match="a client's token"):
            permit(asking("admin", by), operation)
    else:
        permit(asking("admin", by), operation)


def test_a_refusal_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(Forbidden) as refused:
        permit(asking("viewer"), Operation.TASK_SUBMIT)
    assert str(refused.value) == (
        "You may not do this; the role viewer has no task_submit; ask an administrator of your organisation."
    )
    with pytest.raises(Forbidden) as refused:
        permit(asking("admin", "client"), Operation.USER_WRITE)
    assert str(refused.value) == (
        "You may not do this with a client's token; user_write is for people, and a client only speaks for one; sign "
        "in with your password."
    )


@pytest.mark.parametrize(("by", "own"), [("sign_in", True), ("oauth", True), ("client", False)])
def test_a_program_with_an_issued_token_has_no_word_of_its_own(by: By, own: bool) -> None:
    assert is_own_word(asking("admin", by)) is own


def test_a_viewer_changes_nothing_but_itself_and_its_tokens() -> None:
    has = {operation for operation in Operation if may("viewer", operation)}
    reads = {operation for operation in Operation if operation.endswith(("_read", "_explain", "_export"))}
    assert has - reads == {Operation.PROFILE_WRITE, Operation.TOKEN_ISSUE}


@pytest.mark.parametrize("operation", [one for one in Operation if one.endswith(("_write", "_change", "_submit"))])
@pytest.mark.parametrize("role", ROLES)
def test_what_may_be_changed_may_be_seen(role: Role, operation: Operation) -> None:
    reads = Operation(operation.rpartition("_")[0] + "_read")
    for place in WHOSE.values():
        assert not may_to(asking(role), operation, *place) or may_to(asking(role), reads, *place)


@pytest.mark.parametrize(
    ("giver", "given"),
    [
        ("admin", set(ROLES)),
        ("org_admin", set(ROLES) - {"admin"}),
        ("agent_manager", set()),
        ("task_executor", set()),
        ("viewer", set()),
    ],
)
def test_nobody_gives_more_than_they_have(giver: Role, given: set[Role]) -> None:
    assert {role for role in ROLES if may_give(giver, role)} == given


@pytest.mark.parametrize("by", get_args(By))
@pytest.mark.parametrize("role", ROLES)
def test_somebody_may_do_what_they_are_told_that_they_may_and_nothing_else(role: Role, by: By) -> None:
    told = operations_of(asking(role, by))
    assert told == sorted(told)
    for operation in Operation:
        if operation in told:
            permit(asking(role, by), operation)
        else:
            with pytest.raises(Forbidden):
                permit(asking(role, by), operation)
