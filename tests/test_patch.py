"""deciban.patch and python -m deciban: the same program, other classes, no trace afterwards."""

import copy
import copyreg
import importlib.util
import io
import json
import os
import pickle
import re
import site
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import joblib
import numpy as np
import pytest
import sklearn.utils.discovery
from sklearn import naive_bayes
from sklearn.base import clone
from sklearn.feature_extraction import text
from sklearn.pipeline import make_pipeline

import deciban
import deciban.feature_extraction.text
import deciban.linear_model
import deciban.naive_bayes
import deciban.neural_network
from deciban.patch import _CLASSES

PAIRS = {
    getattr(sys.modules[f"sklearn.{module}"], name): getattr(sys.modules[f"deciban.{module}"], name)
    for module, names in _CLASSES.items()
    for name in names
}
MultinomialNB = naive_bayes.MultinomialNB  # a global name: means deciban's while patched
NB = SimpleNamespace(theirs=naive_bayes.MultinomialNB, ours=deciban.naive_bayes.MultinomialNB)
DOCS = ["red apple", "green apple", "blue sky", "blue sea and sky"] * 3
LABELS = ["fruit", "fruit", "air", "air"] * 3


@pytest.fixture(autouse=True)
def _unpatched_afterwards():
    assert naive_bayes.MultinomialNB is NB.theirs
    yield
    assert naive_bayes.MultinomialNB is NB.theirs
    assert not deciban.patch._replaced


def snapshot():
    names = {
        (module, name): id(value)
        for module, loaded in list(sys.modules.items())
        if isinstance(loaded, ModuleType)
        for name, value in vars(loaded).items()
    }
    # What the patch keeps in its own module is its own business, and hypothesis times garbage collections as they come.
    busy = {"deciban.patch", "hypothesis.internal.conjecture.junkdrawer"}
    return {key: value for key, value in names.items() if key[0] not in busy}, list(sys.meta_path)


@pytest.fixture
def user_module(monkeypatch):
    """A module with names of its own for scikit-learn's class and deciban's."""
    module = ModuleType("user_module")
    exec(
        "from sklearn.naive_bayes import MultinomialNB, GaussianNB as G\n"
        "from deciban.naive_bayes import MultinomialNB as M\n",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "user_module", module)
    return module


def fitted():
    return make_pipeline(text.TfidfVectorizer(ngram_range=(1, 2)), naive_bayes.MultinomialNB()).fit(DOCS, LABELS)


class TestPatch:
    def test_every_twin_is_listed(self):
        for module, names in _CLASSES.items():
            loaded = sys.modules[f"deciban.{module}"]
            twins = {
                name
                for name, value in vars(loaded).items()
                if isinstance(value, type) and hasattr(value, "to_sklearn") and value.__module__ == loaded.__name__
            }
            assert {name for name in twins if not name.startswith("_")} == set(names)

    def test_names_everywhere_and_back(self, user_module):
        before, dispatch = snapshot(), dict(copyreg.dispatch_table)
        with deciban.sklearn_patched():
            for old, new in PAIRS.items():
                assert getattr(sys.modules[old.__module__], old.__name__) is new
            assert MultinomialNB is NB.ours
            assert user_module.MultinomialNB is NB.ours
            assert user_module.G is deciban.naive_bayes.GaussianNB
            exec("from sklearn.naive_bayes import BernoulliNB as Late", vars(user_module))
            assert user_module.Late is deciban.naive_bayes.BernoulliNB
            for module, loaded in list(sys.modules.items()):
                if isinstance(loaded, ModuleType) and module.partition(".")[0] != "deciban":
                    assert not any(isinstance(value, type) and value in PAIRS for value in vars(loaded).values())
        assert user_module.Late.__module__ == "sklearn.naive_bayes"
        del user_module.Late
        assert snapshot() == before
        assert copyreg.dispatch_table == dispatch
        assert user_module.M is NB.ours

    def test_deciban_itself_is_left_alone(self):
        own = {name: dict(vars(module)) for name, module in sys.modules.items() if name.startswith("deciban.")}
        bases = {cls: cls.__mro__ for cls in PAIRS.values()}
        with deciban.sklearn_patched():
            for name in own.keys() - {"deciban.patch"}:
                assert vars(sys.modules[name]) == own[name]
            assert {cls: cls.__mro__ for cls in PAIRS.values()} == bases

    def test_calls_are_counted(self):
        deciban.unpatch_sklearn()
        deciban.patch_sklearn()
        deciban.patch_sklearn()
        with deciban.sklearn_patched():
            pass
        deciban.unpatch_sklearn()
        assert naive_bayes.MultinomialNB is NB.ours
        deciban.unpatch_sklearn()
        assert naive_bayes.MultinomialNB is NB.theirs
        deciban.unpatch_sklearn()
        with deciban.sklearn_patched():
            assert naive_bayes.MultinomialNB is NB.ours

    def test_goes_back_after_an_error_and_works_as_a_decorator(self):
        @deciban.sklearn_patched()
        def fail():
            assert naive_bayes.MultinomialNB is NB.ours
            raise KeyError

        for _ in range(2):
            with pytest.raises(KeyError):
                fail()
            assert naive_bayes.MultinomialNB is NB.theirs

    def test_threads(self):
        barrier, wrong = threading.Barrier(8), []

        def work():
            barrier.wait()
            for _ in range(5):
                with deciban.sklearn_patched():
                    if naive_bayes.MultinomialNB is not NB.ours:
                        wrong.append(1)

        before = snapshot()
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert snapshot() == before

    def test_lazy_modules_stay_lazy(self, tmp_path, monkeypatch):
        path = tmp_path / "lazy_module.py"
        path.write_text("raise AssertionError('loaded')")
        spec = importlib.util.spec_from_file_location("lazy_module", path)
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "lazy_module", module)
        monkeypatch.setitem(sys.modules, "not_a_module", object())
        monkeypatch.setitem(sys.modules, "forbidden_module", None)
        spec.loader.exec_module(module)
        with deciban.sklearn_patched():
            assert naive_bayes.MultinomialNB is NB.ours

    def test_all_estimators_finds_ours(self):
        with deciban.sklearn_patched():
            found = dict(sklearn.utils.discovery.all_estimators())
        for old, new in PAIRS.items():
            assert found[old.__name__] is new

    def test_estimators_from_before(self):
        vectorizer, model = text.TfidfVectorizer(), naive_bayes.MultinomialNB()
        with deciban.sklearn_patched():
            model.fit(vectorizer.fit_transform(DOCS), LABELS)  # scikit-learn's code, with our TfidfTransformer inside
            assert not isinstance(model, naive_bayes.MultinomialNB)
            for twin in clone(model), copy.copy(model), copy.deepcopy(model):
                assert type(twin) is NB.theirs
            assert copy.deepcopy(model).predict(vectorizer.transform(DOCS)).tolist() == LABELS
        assert model.predict(vectorizer.transform(DOCS)).tolist() == LABELS


class TestPickles:
    @pytest.fixture(params=["pickle 0", "pickle 2", "pickle 5", "joblib"])
    def through(self, request):
        """A way to bytes and back."""
        if request.param == "joblib":

            def dump(obj):
                joblib.dump(obj, file := io.BytesIO())
                return file.getvalue()

            return dump, lambda content: joblib.load(io.BytesIO(content))
        return lambda obj: pickle.dumps(obj, protocol=int(request.param[-1])), pickle.loads

    def test_of_scikit_learn_load_as_ours(self, through):
        dump, load = through
        pipeline = fitted()
        content = dump(pipeline)
        with deciban.sklearn_patched():
            loaded = load(content)
        assert [type(step) for _, step in loaded.steps] == [PAIRS[type(step)] for _, step in pipeline.steps]
        assert "_sklearn_version" not in vars(loaded[-1])
        np.testing.assert_allclose(loaded.predict_proba(DOCS), pipeline.predict_proba(DOCS), rtol=1e-12)
        np.testing.assert_allclose(loaded[:-1].transform(DOCS).toarray(), pipeline[:-1].transform(DOCS).toarray())
        assert type(load(content)[-1]) is NB.theirs

    def test_of_ours_stay_ours(self, through):
        dump, load = through
        with deciban.sklearn_patched():
            pipeline = fitted()
            content = dump(pipeline)
            assert type(load(content)[-1]) is NB.ours
        assert type(load(content)[-1]) is NB.ours
        assert load(content).predict(DOCS).tolist() == LABELS

    def test_of_scikit_learn_written_while_patched(self, through):
        dump, load = through
        pipeline = fitted()
        with deciban.sklearn_patched():
            content = dump(pipeline)
            assert type(load(content)[-1]) is NB.ours
            deployed = dump(fitted()[-1].to_sklearn())
        assert b"deciban" not in content + deployed
        assert type(load(content)[-1]) is type(load(deployed)) is NB.theirs
        assert load(content).predict(DOCS).tolist() == LABELS
        assert vars(load(deployed)).keys() == vars(pipeline[-1]).keys()


@pytest.fixture
def python(tmp_path):
    """Run Python in tmp_path; an editable install gets the .pth file that a real one has."""
    installed = Path(deciban.__file__).parents[1]
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    env.pop("DECIBAN_PATCH", None)
    if str(installed) not in site.getsitepackages():
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(installed)!r})")
        env["PYTHONPATH"] = str(tmp_path / "site")

    def run(*arguments, variables=(), **options):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**env, **dict(variables)},
            capture_output=True,
            text=True,
            timeout=100,
            **options,
        )

    return run


def succeed(result):
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return result.stdout


PROBE = """'''Says what it sees.'''
import json, sys
seen = {name: repr(value) for name, value in globals().items() if name not in ("__loader__", "json", "sys")}
seen.update(
    argv=sys.argv,
    path=sys.path,
    loader=getattr(__loader__, "__name__", type(__loader__).__name__),
    own=sys.modules["__main__"].__dict__ is globals(),
    code=sys._getframe().f_code.co_filename,
)
print(json.dumps(seen, indent=1))
"""


@pytest.fixture
def _programs(tmp_path):
    """One program in every form that Python takes."""
    (tmp_path / "scripts" / "folder").mkdir(parents=True)
    (tmp_path / "package" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "broken").mkdir()
    (tmp_path / "package" / "broken" / "__init__.py").write_text("import no_such_module")
    (tmp_path / "package" / "sub" / "__init__.py").touch()
    for path in "scripts/probe.py", "scripts/folder/__main__.py", "package/sub/__main__.py", "package/probe.py":
        (tmp_path / path).write_text(PROBE)
    with zipfile.ZipFile(tmp_path / "scripts" / "probe.zip", "w") as archive:
        archive.writestr("__main__.py", PROBE)


@pytest.mark.usefixtures("_programs")
class TestRun:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["scripts/probe.py", "-m", "--help"],
            ["scripts/folder"],
            ["scripts/probe.zip", "x"],
            ["-m", "package.probe", "-c", "x"],
            ["-m", "package.sub"],
            ["-c", PROBE, "x"],
            ["-", "x"],
        ],
        ids=lambda arguments: " ".join(arguments[:2])[:20],
    )
    @pytest.mark.parametrize("option", ["-B", "-P"])
    def test_program_sees_what_python_shows(self, python, arguments, option):
        if option == "-P" and arguments[0] == "-m":
            pytest.skip("python -P does not look for modules in the current folder")
        plain, ours = (
            json.loads(succeed(python(option, *run, *arguments, input=PROBE if arguments[0] == "-" else None)))
            for run in ([], ["-m", "deciban"])
        )
        for seen in plain, ours:
            seen.pop("__annotations__", None)
            seen["__spec__"] = re.sub(" at 0x[0-9a-f]+", "", seen["__spec__"])
        assert ours == plain

    @pytest.mark.parametrize(
        "arguments",
        [
            ["-c", "import sys; sys.exit(3)"],
            ["-c", "import sys; sys.exit('bye')"],
            ["-c", "import os; os._exit(7)"],
            ["-c", "import atexit, __main__; x = 5; atexit.register(lambda: print(__main__.x))"],
            "def f(): raise ValueError('no')\nf()",
            "try:\n    1 / 0\nexcept ArithmeticError as error:\n    raise OSError from error",
            "import sys; sys.excepthook = lambda *error: print(error[1]); 1 / 0",
            "import signal; signal.raise_signal(signal.SIGINT)",
            "x = 1 +",
            ["no_such_file.py"],
            ["empty"],
            ["-m", "no_such_module"],
            ["-m", "package"],
        ],
        ids=lambda arguments: repr(arguments)[:30],
    )
    def test_program_ends_as_under_python(self, python, tmp_path, arguments):
        if isinstance(arguments, str):
            (tmp_path / "script.py").write_text(arguments)
            arguments = ["script.py"]
        plain, ours = (python(*run, *arguments) for run in ([], ["-m", "deciban"]))
        assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)

    def test_errors_of_a_parent_package_are_shown(self, python):
        result = python("-m", "deciban", "-m", "package.broken.module")
        assert result.returncode == 1
        assert "import no_such_module" in result.stderr
        assert result.stderr.endswith("No module named 'no_such_module'\n")

    def test_options(self, python):
        assert "script" in succeed(python("-m", "deciban", "--help"))
        assert succeed(python("-m", "deciban", "-V")) == f"deciban {deciban.__version__}\n"
        for arguments in [], ["-m"], ["--no-such-option", "x"]:
            result = python("-m", "deciban", *arguments)
            assert result.returncode == 2
            assert "usage: " in result.stderr

    def test_interactive_prompt_has_the_names(self, python):
        result = python("-i", "-m", "deciban", "-c", "x = 41", input="print(x + 1)\n")
        assert result.stdout == "42\n"


class TestImports:
    def test_importing_deciban_is_light(self, python):
        heavy = '{name.partition(".")[0] for name in sys.modules} & {"numpy", "scipy", "sklearn", "joblib", "pkgutil"}'
        code = f"import sys, deciban; deciban.patch_sklearn(); print({heavy})"
        assert succeed(python("-c", code)) == "set()\n"
        assert succeed(python("-c", code, variables={"DECIBAN_PATCH": "1"})) == "set()\n"

    def test_pth_does_nothing_unless_asked(self, python):
        code = "import sys; print('deciban' in sys.modules)"
        assert succeed(python("-c", code)) == "False\n"
        assert succeed(python("-c", code, variables={"DECIBAN_PATCH": "0"})) == "False\n"
        assert succeed(python("-c", code, variables={"DECIBAN_PATCH": "1"})) == "True\n"

    @pytest.mark.parametrize(
        "first",
        [
            "import sklearn.naive_bayes",
            "import sklearn.feature_extraction",
            "from sklearn.feature_extraction.text import TfidfVectorizer as T",
            "import deciban.naive_bayes",
            "import deciban.feature_extraction.text",
        ],
    )
    def test_whatever_is_imported_first(self, python, first):
        code = f"""{first}
import sys
from sklearn import naive_bayes
from sklearn.feature_extraction import text
assert naive_bayes.MultinomialNB.__module__ == "deciban.naive_bayes"
assert text.TfidfVectorizer.__module__ == "deciban.feature_extraction.text"
assert "T" not in globals() or T is text.TfidfVectorizer
import deciban
deciban.unpatch_sklearn()
assert naive_bayes.MultinomialNB.__module__ == "sklearn.naive_bayes"
assert text.TfidfVectorizer.__module__ == "sklearn.feature_extraction.text"
assert "T" not in globals() or T is text.TfidfVectorizer
assert "exec_module" not in vars(naive_bayes.__loader__)
assert not any(type(finder).__module__ == "deciban.patch" for finder in sys.meta_path)
"""
        succeed(python("-c", code, variables={"DECIBAN_PATCH": "1"}))

    def test_modules_not_loaded_at_unpatch_stay_scikit_learns(self, python):
        code = """import deciban
with deciban.sklearn_patched():
    pass
from sklearn.naive_bayes import MultinomialNB
assert MultinomialNB.__module__ == "sklearn.naive_bayes"
"""
        succeed(python("-c", code))

    def test_threads_importing_at_once(self, python):
        code = """import deciban, importlib, sys, threading
# What both import, and no package beside its own module: threads that import scikit-learn at once are not safe
# without us either.
import sklearn.preprocessing
sys.setswitchinterval(1e-5)
names = ["sklearn.naive_bayes", "deciban.naive_bayes"]
names += ["sklearn.feature_extraction.text", "deciban.feature_extraction.text"]
barrier, failed = threading.Barrier(len(names) + 1), []
threading.excepthook = failed.append
def work(name):
    barrier.wait()
    if name:
        importlib.import_module(name)
    else:
        deciban.patch_sklearn()
threads = [threading.Thread(target=work, args=[name]) for name in [*names, None]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
from sklearn.naive_bayes import MultinomialNB
from sklearn.feature_extraction.text import TfidfVectorizer
assert MultinomialNB.__module__ == "deciban.naive_bayes"
assert TfidfVectorizer.__module__ == "deciban.feature_extraction.text"
"""
        succeed(python("-c", code, variables={"DECIBAN_PATCH": "1"}))

    def test_old_pickle_in_a_fresh_process(self, python, tmp_path):
        joblib.dump(fitted(), tmp_path / "model.joblib")
        code = f"import joblib; print(*map(type, dict(joblib.load('model.joblib').steps).values())); print({DOCS!r})"
        shown = succeed(python("-m", "deciban", "-c", code))
        assert re.findall(r"'(\w+)\.", shown) == ["deciban", "deciban"]


WORKERS = """
import multiprocessing
import sys

import joblib


class Held:
    '''Pickled by reference to __main__.'''

    def __init__(self, value):
        self.value = value


def inside(held):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB as M

    model = M().fit(CountVectorizer().fit_transform(["a bc", "bc de"]), [0, 1])
    return Held([held.value, type(model).__module__, CountVectorizer.__module__])


def main():
    method = sys.argv[1]
    if method == "loky":
        results = joblib.Parallel(n_jobs=2)(joblib.delayed(inside)(Held(i)) for i in range(2))
    else:
        with multiprocessing.get_context(method).Pool(2) as pool:
            results = pool.map(inside, [Held(i) for i in range(2)])
    assert all(type(result) is Held for result in results)
    print([result.value for result in results])


if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the start methods of POSIX")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver", "loky"])
def test_worker_processes(python, tmp_path, method):
    (tmp_path / "workers.py").write_text(WORKERS)
    arguments = ["-m", "workers"] if method == "forkserver" else ["workers.py"]
    shown = succeed(python("-m", "deciban", *arguments, method))
    assert json.loads(shown.replace("'", '"')) == [
        [i, "deciban.naive_bayes", "deciban.feature_extraction.text"] for i in range(2)
    ]


def test_variable_alone_is_enough(python, tmp_path):
    (tmp_path / "workers.py").write_text(WORKERS)
    assert "deciban.naive_bayes" in succeed(python("workers.py", "spawn", variables={"DECIBAN_PATCH": "1"}))
    assert "deciban" not in succeed(python("workers.py", "spawn"))
