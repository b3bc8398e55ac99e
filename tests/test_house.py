"""The house as such: links and folders agree, folders import without extras, papers and doors agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wavetank.scripts.cli import HYDRA_VERBS, INTERPRETED_VERBS, VERBS
from wavetank.scripts.mistakes import EXTRA_OF

ROOT = Path(__file__).resolve().parents[1]
ROOMS = sorted(init.parent.name for init in ROOT.glob("*/__init__.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BASE_ROOMS = ("conf", "execution", "market", "scripts")  # each file of theirs does without any extra
PROGRAMS = ("wavetank.experiments.served",)  # MLflow executes this file; nobody imports it
HEAVY = sorted({library for libraries in EXTRA_OF.values() for library in libraries})


def test_every_link_leads_to_a_room_and_every_room_has_its_link() -> None:
    links = {link.name: link for link in (ROOT / "src" / "wavetank").iterdir() if link.name != "__pycache__"}
    assert sorted(links) == sorted([*ROOMS, "__init__.py", "py.typed"])
    for name, link in links.items():
        assert link.is_symlink(), f"{link} is a copy"
        assert link.readlink().as_posix() == f"../../{name}"
        assert link.exists(), f"{link} leads nowhere"
    plugins = ROOT / "src" / "hydra_plugins"  # Hydra finds its plugins under this name alone
    assert plugins.readlink().as_posix() == "../hydra_plugins"


def test_the_rooms_are_those_of_the_floors() -> None:
    floors = PROJECT["tool"]["importlinter"]["contracts"][0]
    assert sorted(room.strip() for layer in floors["layers"] for room in layer.split("|")) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_in_its_init_and_re_exports_nothing(room: str) -> None:
    tree = ast.parse((ROOT / room / "__init__.py").read_text())
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1, f"{room}/__init__.py holds more than its docstring"


WITHOUT_EXTRAS = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
for room in {rooms!r}:
    importlib.import_module(f"wavetank.{{room}}")
light = {light!r}
for name in light:
    importlib.import_module(name)
print(len(light), sorted(m for m in sys.modules if m.partition(".")[0] in {heavy!r}))
"""


def test_every_folder_imports_without_its_extras() -> None:
    files = [file for room in ROOMS for file in sorted((ROOT / room).glob("*.py")) if _is_base(file)]
    light = [name for name in map(_module, files) if name not in PROGRAMS]
    code = WITHOUT_EXTRAS.format(heavy=HEAVY, rooms=ROOMS, light=light)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{len(light)} []"
    runner = [file for room in BASE_ROOMS for file in (ROOT / room).glob("*.py")]
    assert {_module(file) for file in runner} - set(light) == set(), "these need an extra at import"
    assert {"wavetank.agents.frozen", "wavetank.envs.desk", "wavetank.memory.edge"} <= set(light)


def test_the_absent_extras_of_that_test_are_really_absent() -> None:
    code = WITHOUT_EXTRAS.format(heavy=HEAVY, rooms=[], light=["gymnasium"])
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "No module named 'gymnasium'" in done.stderr


def _module(file: Path) -> str:
    return f"wavetank.{file.parent.name}.{file.stem}"


def _is_base(file: Path) -> bool:
    """Whether a file, and all that it imports from the house at its top level, does without the extras."""
    return not _heavy_behind(file, set())


def _executed(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a module's top level, those inside `try` and `with` too."""
    inner = [node for node in body if isinstance(node, ast.Try | ast.With)]
    return body + [statement for node in inner for statement in _executed(node.body)]


def _heavy_behind(file: Path, seen: set[Path]) -> bool:
    if file in seen or not file.exists():
        return False
    seen.add(file)
    for node in _executed(ast.parse(file.read_text()).body):
        if isinstance(node, ast.Import) and any(a.name.partition(".")[0] in HEAVY for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom):
            if node.level == 0 and (node.module or "").partition(".")[0] in HEAVY:
                return True
            if node.level and any(_heavy_behind(target, seen) for target in _targets(file, node)):
                return True
    return False


def _targets(file: Path, node: ast.ImportFrom) -> list[Path]:
    folder = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    return [folder.with_suffix(".py"), *(folder / f"{alias.name}.py" for alias in node.names)]


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    commands = re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert commands[:2] == ["demo", "test"]
    assert set(commands) <= set(targets)


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "test", "check", "bench", "proof", "lock", "wheel"):
        assert re.search(rf"make {target} +\S", listed), f"make does not list {target}"


def test_the_lock_pins_every_package_and_names_no_host_and_no_accelerator() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert len(lines) > 100
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.!+]+( ; .+)?", line), line
        assert not line.startswith(("nvidia", "cuda", "triton"))
    assert "torch==2.13.0" in lines


def test_the_lock_holds_every_requirement_of_base_research_viz_and_dev() -> None:
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in ("research", "viz", "dev"):
        wanted += project["optional-dependencies"][extra]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in wanted}  # type: ignore[index]
    assert names <= locked


def test_every_verb_has_its_door_and_every_door_its_verb() -> None:
    doors = {file.stem for file in (ROOT / "scripts").glob("*.py") if _has_main(file)} - {"cli"}
    assert doors == set(VERBS)
    assert set(HYDRA_VERBS) | set(INTERPRETED_VERBS) <= set(VERBS)


def _has_main(file: Path) -> bool:
    body = ast.parse(file.read_text()).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)


def test_a_missing_library_is_told_with_the_extra_that_holds_it() -> None:
    modules = {"scikit-learn": "sklearn", "TA-Lib": "talib", "faiss-cpu": "faiss"}
    for extra, requirements in PROJECT["project"]["optional-dependencies"].items():
        if extra == "dev" or extra == "viz":
            continue  # a developer's tools are no user's verb; viz is mesa with its own extra
        names = (re.match(r"[\w.-]+", requirement)[0] for requirement in requirements)  # type: ignore[index]
        libraries = {modules.get(name, name.replace("-", "_")) for name in names}
        assert libraries == set(EXTRA_OF[extra]), extra


def test_no_page_or_source_names_a_path_of_a_private_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    private = re.compile(r"(?<![\w.])/(home|Users|root|work)/\w")
    texts = (".py", ".md", ".yaml", ".toml", ".html", ".js", ".css", ".lock", "Makefile", ".ci/run")
    for name in listed:
        if name.endswith(texts) and (ROOT / name).is_file():
            found = private.search((ROOT / name).read_text())
            assert found is None, f"{name}: {found}"
