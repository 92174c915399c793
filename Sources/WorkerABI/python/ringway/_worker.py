"""One process of a Python stage.

The work order comes through descriptor 4 and messages through shared memory; the library runs the same loop as every
other worker and calls back into `Host`.
"""

import os
import sys

import ringway
import ringway._host as host

CONTROL, ORDER = 3, 4


class Stopped(BaseException):
    """Raised in a source that is to end and goes on waiting for its next value."""


class Host:
    """What the library calls. It holds the interpreter's lock all the while, except when it waits for messages."""

    def __init__(self, order, target):
        given = order["settings"]
        arguments = given.get("arguments") or {}
        self.Message = ringway.Message
        self.Stopped = Stopped
        self.name = given["callable"]
        self.loads = host.json.JSONDecoder().decode
        self.encode = host.ENCODERS[given.get("encode", "auto")]
        self.key = host.to_key
        self.close = lambda: None
        self._whole = None
        kind = order["kind"]
        if isinstance(target, type):
            target = target(**arguments)
            arguments = {}
            close = getattr(target, "close", None)
            if callable(close):
                self.close = lambda: nothing_from(close(), self.name)
        if kind == "source":
            self.call = lambda: values_of(target if hasattr(target, "__iter__") else target(**arguments), self.name)
        elif arguments:
            import functools

            self.call = functools.partial(target, **arguments)
        else:
            self.call = target

    def view(self, address, length):
        """A read-only view of memory, and the object that lives as long as any view of it does."""
        if self._whole is None:
            import ctypes

            self._whole = ctypes.c_char * (1 << 30)
        exporter = self._whole.from_address(address)
        return exporter, memoryview(exporter).cast("B")[:length].toreadonly()

    def collect(self):
        import gc

        gc.collect()

    def failure(self, kind, value, trace):
        """What a log says of an exception, and its traceback, which goes to standard error too. None for Stopped."""
        if kind is Stopped:
            return None
        if value is None:
            value = kind()
        text, whole = described(kind, value, trace)
        log(whole)
        return text, whole


def described(kind, value, trace):
    """An exception in one line, and with its traceback, in which nothing of ours stands."""
    import traceback

    ours = (__file__, host.__file__)
    last = trace
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    # A value that cannot be encoded fails in our own lines, below those of the json module.
    while trace is not None and (last.tb_frame.f_code.co_filename in ours or trace.tb_frame.f_code.co_filename in ours):
        trace = trace.tb_next
    text = traceback.format_exception_only(kind, value)[-1].strip()
    return text.split("\n")[0][:1000], "".join(traceback.format_exception(kind, value, trace))


def log(text):
    """Writes to the log, whatever user code has done to its streams."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(2, data) :]


def flush():
    """Has what was printed reach the log. User code may have replaced or closed its streams, or set them to None."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except Exception:
            pass


def values_of(made, name):
    """An iterator over what a source makes. Text, bytes and mappings would come apart into their pieces, which nobody means."""
    is_iterable = hasattr(type(made), "__iter__") or hasattr(type(made), "__getitem__")
    if not is_iterable or isinstance(made, (str, bytes, bytearray, dict)):
        kind = "None" if made is None else "a value of type " + type(made).__name__
        raise TypeError(f"{name} returned {kind}: a source returns an iterator, or yields its values")
    return iter(made)


def nothing_from(result, name):
    """What would run or be handed on, and cannot, at the end of a stage."""
    if hasattr(result, "__next__") or hasattr(result, "__await__"):
        raise TypeError(f"close() of {name} returned a {type(result).__name__}: nothing is handed on once the input has ended")


def watch_for_stop():
    """Ends a source that does not come to its next value within a second after it was asked to end.

    The library reads what the runner says whenever it has a value; what lies unread for a second is for a source that
    waits. Nothing is imported here that a worker has not loaded anyway: every source waits for it at its start.
    """
    import fcntl
    import signal
    import termios

    main = None
    state = {"asked": False, "late": False}

    def unread():
        return int.from_bytes(fcntl.ioctl(CONTROL, termios.FIONREAD, bytes(4)), sys.byteorder)

    def late():
        state["asked"] = False
        if unread():
            state["late"] = True
            signal.pthread_kill(main, signal.SIGIO)

    def told(_signal, _frame):
        nonlocal main
        if not unread():
            return
        if state["late"]:
            raise Stopped
        if not state["asked"]:
            import threading

            main = threading.get_ident()
            state["asked"] = True
            timer = threading.Timer(1, late)
            timer.daemon = True
            timer.start()

    signal.signal(signal.SIGIO, told)
    fcntl.fcntl(CONTROL, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(CONTROL, fcntl.F_SETFL, fcntl.fcntl(CONTROL, fcntl.F_GETFL) | os.O_ASYNC)


def main():
    import signal
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    path, _, _, _, runner, *prestarted = sys.argv[1:]
    sys.argv = [""]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    loader = ExtensionFileLoader("ringway_python", path)
    library = loader.create_module(ModuleSpec("ringway_python", loader, origin=path))
    # The stage's code runs after this.
    status = library.enlist(int(runner), int(prestarted[1]) if prestarted else 0)
    if status != 0:
        os._exit(status)
    order = host.json.loads(os.pread(ORDER, os.fstat(ORDER).st_size, 0))
    # Programs that user code starts have no business with our descriptors.
    for number in os.listdir("/proc/self/fd"):
        if int(number) > 2:
            try:
                os.set_inheritable(int(number), False)
            except OSError:
                pass
    if order["settings"].get("decode") == "view":
        import ctypes  # noqa: F401, before a module of the user's can take its place
    host.prepare_path(order["directory"])
    name = order["settings"]["callable"]

    def opening(text):
        library.opening(text.encode("utf-8", "surrogateescape"))

    opening(f"import {name.partition(':')[0]}")
    try:
        target = host.find(name)
    except host.Problem as problem:
        library.fail(problem.message.encode("utf-8", "surrogateescape"), 78)
        flush()
        os._exit(78)
    if order["kind"] == "source":
        watch_for_stop()
    if isinstance(target, type):
        opening(f"{name.replace(':', '.')}({', '.join(f'{n}=…' for n in order['settings'].get('arguments') or {})})")
    # A class that cannot be constructed is a crash, and may be started again: a camera may be there the next time.
    try:
        hosted = Host(order, target)
    except Exception as error:
        text, whole = described(type(error), error, error.__traceback__)
        # The line to the runner takes 64 KiB.
        library.not_opened(*(t.encode("utf-8", "backslashreplace").replace(b"\0", b"") for t in (text, whole[-16384:])))
        flush()
        os._exit(1)
    os.register_at_fork(after_in_child=library.forked)
    kind = 0 if order["kind"] == "source" else 2 if order["settings"].get("batch") else 1
    code = library.run(hosted, kind)
    if code == 0:
        import atexit

        end_threads()
        atexit._run_exitfuncs()
        for error in flush_files():
            text = f"a file that the stage has left open could not be written, and what was in its buffer is lost: {host.describe(error)}"
            library.fail(text.encode("utf-8", "surrogateescape"), 74)
            code = 74
    flush()
    os._exit(code)


def end_threads():
    """Ends executors and waits for threads that are no daemons, before anything else ends, as the interpreter does (Py_FinalizeEx)."""
    shutdown = getattr(sys.modules.get("threading"), "_shutdown", None)
    if shutdown is not None:
        try:
            shutdown()
        except Exception as error:
            log(described(type(error), error, error.__traceback__)[1])


def flush_files():
    """Writes what lies in the buffers of files that are open, as the interpreter would at its end; yields what went wrong."""
    import gc
    import io

    # Text first: it goes into the buffers.
    for kind in (io.TextIOWrapper, io.BufferedIOBase):
        for file in [o for o in gc.get_objects() if isinstance(o, kind)]:
            try:
                if not file.closed and file.writable():
                    file.flush()
            except ValueError:
                pass  # detached, or closed by a thread meanwhile
            except OSError as error:
                yield error

