"""The house holds: floors, modules, versions, files."""

import ast
import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import deciban

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "deciban").rglob("*.py"))

# A file imports only from floors below its own, or from its own floor without a circle.
FLOORS = [
    {"_kernels"},
    {
        "_arrays",
        "_class_sums",
        "_config",
        "_fallback",
        "_largest",
        "_lazy",
        "_parallel",
        "_predictions",
        "_products",
        "_rows",
    },
    {
        "_generation",
        "_sklearn",
        "feature_extraction",
        "generative",
        "information",
        "linear_model",
        "naive_bayes",
        "neural_network",
        "special",
    },
    {"patch", "plot", "__main__", "demo", ""},
]


def floor_of(module):
    """The floor of a module, given by its name below the package."""
    return next(i for i, names in enumerate(FLOORS) if module.split(".")[0] in names)


def name_of(path):
    return (
        ".".join(path.relative_to(ROOT / "src" / "deciban").with_suffix("").parts).removesuffix("__init__").rstrip(".")
    )


def imports(path):
    """The modules of deciban's that a file imports when it is imported, as names below the package."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "deciban":
            tail = node.module.partition(".")[2]
            yield from ([tail] if tail else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            yield from (a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "deciban")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_import_goes_upward(path):
    own = floor_of(name_of(path))
    for module in imports(path):
        known = any(module.split(".")[0] in names for names in FLOORS)
        assert known, f"{path.name} imports deciban.{module}, which has no floor"
        assert floor_of(module) <= own, f"{path.name} (floor {own}) imports deciban.{module}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_rooms_keep_their_private_modules_to_themselves(path):
    own = name_of(path).split(".")[0]
    for module in imports(path):
        room, *rest = module.split(".")
        assert room in (own, "_kernels") or not any(part.startswith("_") for part in rest), f"{path.name}: {module}"


@pytest.mark.parametrize("path", [path for path in SOURCES if floor_of(name_of(path)) < 2], ids=name_of)
def test_the_lower_floors_do_not_know_scikit_learn(path):
    assert "import sklearn" not in path.read_text()
    assert "from sklearn" not in path.read_text()


def test_every_module_can_be_imported():
    names = [module.name for module in pkgutil.walk_packages(deciban.__path__, "deciban.")]
    assert {"deciban._kernels.tokens", "deciban.naive_bayes", "deciban.feature_extraction.text"} <= set(names)
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def test_the_version_is_one():
    assert deciban.__version__ == importlib.metadata.version("deciban")
    assert f"version: '{deciban.__version__}'" in (ROOT / "meson.build").read_text()
    assert f"## {deciban.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_importing_the_package_alone_is_light():
    code = "import sys, deciban; assert not {'numpy', 'scipy', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "path", [*SOURCES, *(ROOT / "src").rglob("*.pyx"), *(ROOT / "src").rglob("*.[ch]")], ids=lambda p: p.name
)
def test_a_file_is_one_idea(path):
    assert len(path.read_text().splitlines()) <= 800
