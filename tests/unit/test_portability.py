"""Desktop clients run on macOS and Windows too: nothing POSIX-only, and nothing on stdout but the protocol."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vel_tutor_mcp
from vel_tutor_mcp import leaves

PACKAGE = Path(vel_tutor_mcp.__file__).parent
FOLDERS = [PACKAGE, leaves.folder("tools"), leaves.folder("resources")]
CODE = {
    file.relative_to(folder.parent).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
    for folder in FOLDERS
    for file in sorted(folder.rglob("*.py"))
}

# The one guarded place: where the loop has no handlers, the doors take those of the interpreter; where files have no
# limit, none is raised.
GUARDED = "vel_tutor_mcp/doors/process.py"
GUARDS = {"add_signal_handler": NotImplementedError.__name__, "resource": "sys.platform == 'win32'"}
# Who may speak to a person: the command line and the demo, which serve nobody.
PRINTERS = ("vel_tutor_mcp/doors/cli/__init__.py", GUARDED)
SHOWS = "vel_tutor_mcp/demo/"

MODULES = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
# fmt: off
CALLS = {
    "add_signal_handler", "remove_signal_handler", "fork", "forkpty", "kill", "killpg", "getuid", "geteuid", "getgid",
    "getegid", "getgroups", "getpgid", "setuid", "setgid", "setsid", "setpgid", "getsid", "initgroups", "chown",
    "lchown", "chroot", "mkfifo", "mknod", "nice", "uname", "wait", "waitpid", "wait3", "wait4", "SIGKILL", "SIGHUP",
    "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE", "SIGSTOP", "SIGCONT", "setitimer", "alarm",
    "pause", "sigwait", "pthread_sigmask", "pthread_kill",
}
# fmt: on
OWNERS = {"os", "signal"}
# Windows refuses these; it merely ignores `start_new_session`.
ARGUMENTS = frozenset({"preexec_fn", "pass_fds"})
FOLDERS_OF_POSIX = ("/proc", "/tmp", "/dev/", "/etc/", "/var/", "/usr/")


def posix_only(tree: ast.AST) -> Iterator[str]:
    """What in the code exists, or means something, on POSIX alone."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names if alias.name in MODULES)
            case ast.ImportFrom(module, names):
                yield from (module for _ in names[:1] if module in MODULES)
                yield from (alias.name for alias in names if module in OWNERS and alias.name in CALLS)
            case ast.Attribute(ast.Name(owner), name) if owner in OWNERS and name in CALLS:
                yield name
            case ast.Attribute(_, ("add_signal_handler" | "remove_signal_handler") as name):
                yield name
            case ast.keyword(str(name)) if name in ARGUMENTS:
                yield name
            case ast.Constant(str(text)) if text.startswith(FOLDERS_OF_POSIX):
                yield text


def to_stdout(tree: ast.AST) -> Iterator[str]:
    """What in the code may write to stdout."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name("print"), _, keywords):
                files = [ast.unparse(keyword.value) for keyword in keywords if keyword.arg == "file"]
                yield from ["print"] * (files != ["sys.stderr"])
            case ast.Attribute(ast.Attribute(ast.Name("sys"), "stdout" | "__stdout__"), name) if name != "flush":
                yield f"sys.stdout.{name}"
            case ast.Call(ast.Name("Console"), _, keywords):
                yield from ["Console"] * all(keyword.arg != "stderr" for keyword in keywords)


def without_encoding(tree: ast.AST) -> Iterator[str]:
    """Text files opened in whatever encoding the machine has."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(_, ("read_text" | "write_text") as name), arguments, keywords):
                positional = len(arguments) > (name == "write_text")
                yield from [name] * (not positional and all(keyword.arg != "encoding" for keyword in keywords))


def found(scan: Iterator[str]) -> list[str]:
    return sorted(set(scan))


@pytest.mark.parametrize("name", CODE)
def test_nothing_is_posix_only_but_in_the_guarded_place(name: str) -> None:
    assert found(posix_only(CODE[name])) == (sorted(GUARDS) if name == GUARDED else [])


def guards(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What is POSIX-only with what keeps it from others: an exception that is caught, or a function that returns."""
    for node in ast.walk(tree):
        match node:
            case ast.Try(body, [ast.ExceptHandler(ast.expr() as caught)]):
                yield from ((what, ast.unparse(caught)) for what in posix_only(ast.Module(body, [])))
            case ast.FunctionDef(body=[ast.Expr(), ast.If(condition, [ast.Return()]), *rest]):
                yield from ((what, ast.unparse(condition)) for what in posix_only(ast.Module(rest, [])))


def test_the_guarded_place_has_a_branch_for_windows() -> None:
    assert dict(guards(CODE[GUARDED])) == GUARDS


def asks_for_the_system(tree: ast.AST) -> bool:
    asked = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool(asked & {"os.name", "sys.platform", "platform.system"})


def test_where_systems_differ_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs" / "platforms.md").read_text(encoding="utf-8")
    told = {f"{PACKAGE.name}/{name}" for name in re.findall(r"^\| `(\S+\.py)` \|", page, re.MULTILINE)}
    assert told <= CODE.keys()
    assert {name for name, tree in CODE.items() if asks_for_the_system(tree)} | {GUARDED} <= told


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import fcntl", ["fcntl"]),
        ("from pwd import getpwuid", ["pwd"]),
        ("from os import fork, path", ["fork"]),
        ("import os\nos.kill(1, signal.SIGKILL)", ["SIGKILL", "kill"]),
        ("asyncio.get_running_loop().add_signal_handler(15, f)", ["add_signal_handler"]),
        ("subprocess.Popen([], preexec_fn=f)", ["preexec_fn"]),
        ("open('/proc/self/status')", ["/proc/self/status"]),
        ("Path('/tmp')", ["/tmp"]),
        ("process.kill()\nsignal.SIGTERM\nos.path.join(a, b)\ntempfile.gettempdir()", []),
    ],
)
def test_what_is_posix_only_is_seen(code: str, names: list[str]) -> None:
    assert found(posix_only(ast.parse(code))) == names


@pytest.mark.parametrize("name", [name for name in CODE if not name.startswith(SHOWS)])
def test_nothing_that_serves_writes_to_stdout(name: str) -> None:
    assert found(to_stdout(CODE[name])) == []


@pytest.mark.parametrize("name", [name for name in CODE if not name.startswith((*PRINTERS, SHOWS))])
def test_only_the_command_line_and_the_demo_print(name: str) -> None:
    assert "print" not in {node.id for node in ast.walk(CODE[name]) if isinstance(node, ast.Name)}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("print('hello')", ["print"]),
        ("print('hello', file=sys.stdout)", ["print"]),
        ("print('hello', file=sys.stderr)", []),
        ("sys.stdout.write('hello')", ["sys.stdout.write"]),
        ("sys.stdout.buffer.write(b'hello')", ["sys.stdout.buffer"]),
        ("sys.stdout.flush()", []),
        ("Console().print('hello')", ["Console"]),
        ("Console(stderr=True).print('hello')", []),
    ],
)
def test_what_writes_to_stdout_is_seen(code: str, names: list[str]) -> None:
    assert found(to_stdout(ast.parse(code))) == names


@pytest.mark.parametrize("name", CODE)
def test_text_files_have_one_encoding_on_every_machine(name: str) -> None:
    assert found(without_encoding(CODE[name])) == []
