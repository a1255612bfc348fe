"""Which projects a home knows, and that one bridge of it at a time has to do with each."""

from pathlib import Path

import pytest

from vel_tutor_mcp.errors import NotFound
from vel_tutor_mcp.taskmaster.known import Known
from vel_tutor_mcp.taskmaster.project import Project


def test_a_project_is_known_by_its_id_to_all_processes_of_a_home(tmp_path: Path) -> None:
    project = Project(tmp_path)
    known, other = Known(tmp_path / "home"), Known(tmp_path / "home")
    assert not other.has(project)
    project_id = known.remember(project)
    assert (other.has(project), other.path_of(project_id), other.remember(project)) == (True, str(tmp_path), project_id)
    assert not Known(tmp_path / "another").has(project)


@pytest.mark.parametrize("project_id", ["0123456789ab", "../../secret", "home", ""])
def test_an_id_of_no_project_is_refused(tmp_path: Path, project_id: str) -> None:
    known = Known(tmp_path)
    known.home()
    with pytest.raises(NotFound, match="There is no such project; "):
        known.path_of(project_id)


def test_a_home_has_one_name_for_ever_and_no_other_has_it(tmp_path: Path) -> None:
    name = Known(tmp_path / "home").home()
    assert Known(tmp_path / "home").home() == name
    assert Known(tmp_path / "another").home() != name


def test_one_bridge_at_a_time_has_to_do_with_a_project(tmp_path: Path) -> None:
    known, other, project = Known(tmp_path), Known(tmp_path), Project(tmp_path / "a")
    with known.held(project) as first, other.held(project) as second, other.held(Project(tmp_path / "b")) as beside:
        assert (first, second, beside) == (True, False, True)
    with other.held(project) as afterwards:
        assert afterwards
