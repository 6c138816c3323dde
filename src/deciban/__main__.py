"""Run a program with scikit-learn's text vectorizers and naive Bayes classifiers replaced by deciban's.

The program sees what it would see under plain ``python``: its own ``__main__`` module, ``sys.argv``, ``sys.path[0]``,
exit code and traceback. Processes that it starts are patched too (see :mod:`deciban.patch`).
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import pkgutil
import sys
from importlib.machinery import BuiltinImporter, ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

import deciban

_USAGE = "usage: python -m deciban [-h] [-V] [-m module | -c code | script | -] [argument ...]"
_HELP = f"""{_USAGE}

Run a Python program with scikit-learn's text vectorizers and naive Bayes classifiers replaced by deciban's.

  script         a file, or a directory or zip file with a __main__.py
  -m module      a module or package, by name
  -c code        code, as a string
  -              code, from standard input
  argument ...   arguments of the program, in sys.argv[1:]
  -h, --help     show this help and exit
  -V, --version  show deciban's version and exit

DECIBAN_PATCH=1 in the environment does the same for every Python process that starts with it."""


def main() -> None:
    """Run the program that ``sys.argv`` names, as ``__main__``."""
    match sys.argv[1:]:
        case ["-h" | "--help", *_]:
            print(_HELP)
        case ["-V" | "--version", *_]:
            print(f"deciban {deciban.__version__}")
        case []:
            _exit(_USAGE, 2)
        case ["-m" | "-c" as option]:
            _exit(f"argument expected for the {option} option\n{_USAGE}", 2)
        case [option, *_] if option.startswith("-") and option not in ("-", "-m", "-c"):
            _exit(f"unknown option {option}\n{_USAGE}", 2)
        case arguments:
            if os.environ.get("DECIBAN_PATCH") != "1":  # else the import of deciban has patched
                os.environ["DECIBAN_PATCH"] = "1"
                deciban.patch_sklearn()
            try:
                _run(arguments)
            except BaseException:
                _hide_own_frames()
                raise


def _run(arguments: list[str]) -> None:
    names: dict[str, Any]
    match arguments:
        case ["-m", name, *rest]:
            sys.argv[:] = ["-m", *rest]
            code, names = _load_module(name)
            sys.argv[0] = names["__file__"]
        case ["-c" | "-" as option, *rest]:
            source = rest.pop(0) if option == "-c" else sys.stdin.buffer.read()
            file = "<string>" if option == "-c" else "<stdin>"
            sys.argv[:] = [option, *rest]
            _set_path("")
            code = compile(source, file, "exec", dont_inherit=True)
            names = {"__loader__": BuiltinImporter} | ({} if option == "-c" else {"__file__": file, "__cached__": None})
        case _:
            sys.argv[:] = arguments
            code, names = _load_script(arguments[0])
    # For good, as under plain python: atexit handlers, threads and pickles still need it when the code has run.
    program = sys.modules["__main__"] = ModuleType("__main__")
    vars(program).update(names, __builtins__=builtins)
    exec(code, vars(program))


def _load_module(name: str) -> tuple[CodeType, dict[str, Any]]:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # a parent package is there, but imports something that is not
        spec = None
    if spec is not None and spec.submodule_search_locations is not None:
        package, spec = name, importlib.util.find_spec(f"{name}.__main__")
        if spec is None:
            _exit(f"No module named {package}.__main__; {package!r} is a package and cannot be directly executed")
    if spec is None:
        _exit(f"No module named {name}")
    return _load_spec(spec, package=spec.parent)


def _load_script(path: str) -> tuple[CodeType, dict[str, Any]]:
    folder, path = os.path.dirname(os.path.realpath(path)), os.path.abspath(path)
    importer: Any = pkgutil.get_importer(path)
    if importer is not None:  # a directory or zip file
        if sys.flags.safe_path:
            sys.path.insert(0, path)
        _set_path(path)
        spec = importer.find_spec("__main__")
        if spec is None:
            _exit(f"can't find '__main__' module in {path!r}")
        return _load_spec(spec, package="")
    _set_path(folder)
    try:
        with io.open_code(path) as file:
            content = file.read()
    except OSError as error:
        _exit(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}", 2)
    code = pkgutil.read_code(io.BytesIO(content))  # of a .pyc file, else None
    if code is None:
        code = compile(content, path, "exec", dont_inherit=True)
    return code, {"__file__": path, "__cached__": None, "__loader__": SourceFileLoader("__main__", path)}


def _load_spec(spec: ModuleSpec, package: str | None) -> tuple[CodeType, dict[str, Any]]:
    loader: Any = spec.loader
    code = loader.get_code(spec.name) if loader is not None else None
    if code is None:
        _exit(f"No code object available for {spec.name}")
    names = {"__file__": spec.origin, "__cached__": spec.cached, "__loader__": loader, "__spec__": spec}
    return code, {**names, "__package__": package}


def _set_path(folder: str) -> None:
    """Put the program's folder where ``python -m deciban`` has the current one (nowhere under ``python -P``)."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _exit(message: str, status: int = 1) -> NoReturn:
    print(f"{sys.executable}: {message}", file=sys.stderr)
    sys.exit(status)


def _hide_own_frames() -> None:
    """Let the traceback that ends the program begin with the program."""
    hook = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and traceback.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>"):
            traceback = traceback.tb_next
        hook(kind, error.with_traceback(traceback), traceback)

    sys.excepthook = show


if __name__ == "__main__":
    main()
