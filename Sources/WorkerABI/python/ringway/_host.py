"""Finds what a stage calls, and turns values into bytes. Used by check.py before a run and by worker.py in it."""

import importlib
import os
import sys


def leave_out_current_folder():
    """An empty element of PYTHONPATH is the current folder, and seldom meant: `$PYTHONPATH:/more` has one where there was no PYTHONPATH."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if len(named) > 1 and "" in named:
        try:
            here = os.getcwd()
        except OSError:  # the folder is gone, and with it what could be imported from there
            return
        if here not in named:
            sys.path[1:] = [p for p in sys.path[1:] if p not in ("", here)]


leave_out_current_folder()
import json  # noqa: E402


class Problem(Exception):
    """What is wrong with a setting, in one sentence without a full stop."""

    def __init__(self, setting, message, remedy=None):
        super().__init__(message)
        self.setting = setting
        self.message = message
        self.remedy = remedy


def prepare_path(directory):
    """The folder of the pipeline file instead of this script's; nothing from the current folder.

    The package `ringway` was imported by now, so that no file of the user's takes its place.
    """
    here = sys.path[0]
    sys.path[:] = [directory] + [p for p in sys.path[1:] if p not in ("", ".")]
    package = here.rpartition("/")[0]
    if package not in sys.path:
        sys.path.append(package)


def describe(error):
    """`ValueError: no`, the last line of a traceback."""
    text = str(error)
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{name}: {error.msg} ({error.filename}:{error.lineno})"
    return f"{name}: {text}" if text else name


def place(error):
    """` (file:line)` of the user's line that raised it last; nothing when there is none."""
    where, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "importlib" not in file and file != __file__:
            where = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return where


def near_module(name, folder):
    import difflib

    try:
        files = os.listdir(folder)
    except OSError:
        return None
    return next(iter(difflib.get_close_matches(name, [f[:-3] for f in files if f.endswith(".py")], 1)), None)


def find(callable_):
    """The object that `module:name` names.

    Raises Problem, with Python's own words.
    """
    module_name, _, name = callable_.partition(":")
    try:
        target = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        remedy = f"the interpreter is {sys.executable}"
        if error.name == module_name.partition(".")[0]:
            remedy += f"; modules are looked for in {sys.path[0]} first"
            near = near_module(error.name, sys.path[0])
            if near:
                remedy = f"did you mean {near}:{name}? {remedy}"
        elif error.name == module_name and module_name.endswith(".py"):
            remedy = f"a module is named without its ending: {module_name[:-3]}:{name}"
        raise Problem("callable", describe(error) + place(error), remedy) from error
    except BaseException as error:  # an import may also exit
        where = "" if isinstance(error, SyntaxError) else place(error)
        raise Problem("callable", f"the module {module_name} cannot be imported: {describe(error)}{where}") from error
    for part in name.split("."):
        try:
            target = getattr(target, part)
        except AttributeError as error:
            import difflib
            import inspect

            near = difflib.get_close_matches(part, [n for n in dir(target) if not n.startswith("__")], 1)
            what = f"the module {module_name}" if inspect.ismodule(target) else repr(target)
            raise Problem("callable", f"{what} has no {part!r}", f"did you mean {near[0]!r}?" if near else None) from error
    return target


def check(callable_, arguments, kind, batch=None):
    """Finds it and compares the arguments with its signature. Raises Problem."""
    target = find(callable_)
    if not callable(target) and not (kind == "source" and hasattr(target, "__iter__")):
        raise Problem("callable", f"{callable_} is a {type(target).__name__}, which cannot be called")
    name = callable_.partition(":")[2]
    kinds = code_flags(target)
    if kinds & ASYNC_GENERATOR:
        raise Problem("callable", f"{name} is an asynchronous generator function, and nothing iterates over it", "make it a plain generator: `def` for `async def`")
    if kinds & COROUTINE:
        raise Problem("callable", f"{name} is a coroutine function, and nothing awaits it", "wrap it: `def f(x): return asyncio.run(g(x))`")
    if kind == "sink" and kinds & GENERATOR:
        raise Problem("callable", f"{name} is a generator function, and a sink takes no values from it", "let it do its work without yield")
    if isinstance(target, type):
        bind(target, [], arguments, name)
        if kind != "source" and "__call__" not in dir_of(target):
            raise Problem("callable", f"instances of {name} cannot be called", f"give {name} a method `__call__(self, value)`")
        method = next((vars(base)["__call__"] for base in target.__mro__ if "__call__" in vars(base)), None)
        if kind != "source" and type(method) is type(bind):
            bind(method, ["self", "value"], {}, f"{name}.__call__")
        if kind == "source" and not any(n in dir_of(target) for n in ("__iter__", "__call__")):
            raise Problem("callable", f"instances of {name} make no values", f"give {name} a method `__iter__(self)`")
    elif callable(target):
        bind(target, [] if kind == "source" else ["value"], arguments, name)
    elif arguments:
        raise Problem("arguments", f"{name} is not called, so it takes no arguments")
    return target


# Flags of a code object, as `inspect` names them. That module knows every kind of callable, and to import it takes longer than the rest
# of the check, so it is asked only about what is neither a plain function nor a plain class.
VARARGS, VARKEYWORDS, GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x80, 0x200


def code_flags(target):
    while type(target).__name__ == "partial":
        target = target.func
    flags = getattr(getattr(target, "__code__", None), "co_flags", 0)
    return flags if isinstance(flags, int) else 0


def binds_plainly(target, given, arguments):
    """Whether it is a plain function or class that surely takes so many values and these arguments."""
    if isinstance(target, type):
        if type(target) is not type or target.__new__ is not object.__new__ or "__signature__" in dir_of(target):
            return False
        if target.__init__ is object.__init__:
            return not given and not arguments
        target = target.__init__
        given += 1
    if type(target) is not type(binds_plainly) or vars(target):
        return False
    code = target.__code__
    names = code.co_varnames
    positional = names[: code.co_argcount]
    keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    left = positional[given:]
    if given > len(positional) and not code.co_flags & VARARGS or code.co_posonlyargcount > given:
        return False
    for name in arguments:
        if name in positional[:given] or name not in left and name not in keywords and not code.co_flags & VARKEYWORDS:
            return False
    needed = positional[given : max(given, len(positional) - len(target.__defaults__ or ()))]
    return all(n in arguments for n in needed) and all(n in arguments or n in (target.__kwdefaults__ or ()) for n in keywords)


def dir_of(cls):
    """Names that instances have by their class, not the class itself by its own."""
    return {name for base in cls.__mro__ for name in vars(base)}


def bind(target, values, arguments, name):
    if binds_plainly(target, len(values), arguments):
        return
    import difflib
    import inspect

    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # built-in functions may have none
    try:
        signature.bind(*values, **arguments)
    except TypeError as error:
        given = ", ".join(values + [f"{k}=…" for k in arguments])
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        unknown = [k for k in arguments if k not in signature.parameters and not takes_any]
        near = difflib.get_close_matches(unknown[0], list(signature.parameters), 1) if unknown else []
        setting = "arguments" if arguments else "callable"
        remedy = f"did you mean {near[0]!r}?" if near else f"it is defined as {name}{signature}"
        message = f"{name} has no argument {unknown[0]!r}" if unknown else f"{name}({given}): {error}"
        raise Problem(setting, message, remedy) from error


FORMATS = {"bytes": 0, "text": 1, "json": 2}


def plain(value):
    """What stands in another value and is none that JSON knows: an array of numpy's as a list, its number as a number."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=plain).encode


def to_json(value):
    try:
        return _dumps(value).encode(), 2
    except UnicodeEncodeError:  # a surrogate alone, which JSON can only say in an escape
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=plain).encode(), 2


def to_key(value):
    """The JSON text of a key. A number of numpy's is a number."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    return to_json(value)[0]


def to_text(value):
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "surrogateescape"), 1


def to_bytes(value):
    try:
        view = memoryview(value)
    except ValueError as error:  # numpy's times
        raise TypeError(f"{error}: hand on its astype(str).tolist(), say") from None
    if "O" in view.format:
        raise TypeError("an array of objects has no bytes of its own: hand on its tolist(), say")
    return (value if view.c_contiguous else view.tobytes()), 0


def to_anything(value):
    """str, what has bytes, and the rest as JSON."""
    if isinstance(value, str):
        return to_text(value)
    if isinstance(value, (bytes, bytearray, memoryview)) or hasattr(value, "__array_interface__") or hasattr(value, "__buffer__"):
        # A number of numpy's is a number, and not its eight bytes.
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            return to_json(value.item())
        return to_bytes(value)
    if isinstance(value, (dict, list, tuple, int, float)) or value is None:
        return to_json(value)
    try:
        made = to_bytes(value)  # array.array, ctypes, … have buffers and no common type
    except TypeError:
        made = None
    return made or to_json(value)


ENCODERS = {"auto": to_anything, "json": to_json, "text": to_text, "bytes": to_bytes}
