"""What a user installs: the wheel made from the sdist, in a venv of its own, far from the checkout."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from bare import VALUES, bare, nameless, read_only
from server import Server, alone, environment, one_sentence, serving
from world import Providers

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
LEAVES = ("tools", "resources", "prompts", "migrations")
BAD_CONFIGURATION = 78  # of sysexits.h
SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"


def run(*command: str | Path, cwd: Path) -> str:
    """What a command says, without this machine's settings of Python or uv; no index is asked for anything."""
    told = environment(cwd, {"PYTHONPATH": "", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"})
    done = subprocess.run(command, cwd=cwd, env=told, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the sdist, as `python -m build --no-isolation` does."""
    folder = tmp_path_factory.mktemp("build")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a venv with the wheel; its dependencies are those of the Python that runs the tests."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "--quiet", "--python", sys.executable, venv, cwd=venv.parent)
    python = venv / SCRIPTS / "python"
    run(*uv, "pip", "install", "--no-deps", "--compile-bytecode", "--python", python, wheel, cwd=venv.parent)
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv.parent)
    # A line of a .pth file is not searched for more of them: an editable install over there stays unseen.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(own.strip()) / "dependencies.pth").write_text("\n".join(paths))
    return venv / SCRIPTS


def test_the_wheel_brings_every_tool_resource_prompt_and_migration(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name.removeprefix("vel_tutor_mcp/") for name in archive.namelist()}

    files = [path for leaf in LEAVES for path in (ROOT / leaf).rglob("*") if path.suffix in {".py", ".md", ".mako"}]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= shipped
    assert {"tools/task_submit.py", "resources/guide/tasks.md", "migrations/env.py"} <= shipped
    assert {"routing/catalog.toml", "routing/weights/quality.npz", "py.typed", "doors/dashboard/page.html"} <= shipped
    assert not [name for name in shipped if "__pycache__" in name or name.startswith("tests/")]


def test_the_installed_package_is_the_one_that_is_imported(scripts: Path, tmp_path: Path) -> None:
    where = run(scripts / "python", "-c", "import vel_tutor_mcp; print(vel_tutor_mcp.__file__)", cwd=tmp_path)

    assert scripts.parent in Path(where.strip()).parents


async def test_the_installed_command_serves_where_nothing_is_but_its_read_only_package(
    scripts: Path, tmp_path: Path, providers: Providers
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    command = bare([scripts / "vel-tutor-mcp"])
    values = alone(providers.groq) | VALUES | {"VEL_TUTOR_TASK_MASTER_COMMAND": "no-task-master-here"}
    with read_only(scripts.parent):
        async with serving(tmp_path, values, command, folder) as server:
            tools = (await server.request("tools/list"))["tools"]
            task = await server.call("task_submit", prompt="Say hello", wait_seconds=15)
            guide = await server.read("guide://tasks")
            server.close_stdin()
            assert await server.ended() == 0

    of_task_master = {"taskmaster_plan", "taskmaster_run"}
    assert {path.stem for path in (ROOT / "tools").glob("*.py")} - of_task_master == {tool["name"] for tool in tools}
    assert (task["status"], task["output"][:10]) == ("completed", "[simulated")
    assert "task_submit" in guide
    assert (list(folder.iterdir()), server.rubbish) == ([], [])


@pytest.mark.skipif(not nameless(), reason="here every user has a home")
async def test_who_has_no_home_is_told_what_to_set(scripts: Path, tmp_path: Path) -> None:
    values = VALUES | {"VEL_TUTOR_HOME": ""}
    async with Server(tmp_path, values, bare([scripts / "vel-tutor-mcp"])) as server:
        assert await server.ended() == BAD_CONFIGURATION

    said = server.stderr.decode().strip()
    assert one_sentence(said), said
    assert "set VEL_TUTOR_HOME" in said


def test_the_installed_command_tells_its_version(scripts: Path, tmp_path: Path) -> None:
    assert run(scripts / "vel-tutor-mcp", "--version", cwd=tmp_path).startswith("vel-tutor-mcp ")
