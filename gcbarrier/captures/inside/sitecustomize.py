"""Wait, in somebody else's program, for the moment to write its heap down; then load ``walk.py`` and have it do so.

The interpreter imports this before the program begins. It takes itself off the path, puts the environment back as it
was, leaves word in the file ``claim`` that it is there, and lets the program's own ``sitecustomize`` have its turn.
What it keeps is small and of its own: ``walk.py`` leaves it out of the heap. It never raises into the program and
never prints: what goes wrong is in the file ``failed``, for whoever started the program to tell.

``GCBARRIER_CAPTURE``: the folder to write to; the moment (``exit``, ``after SECONDS`` or ``signal NUMBER``); and what
PYTHONPATH was, behind a ``=`` where it was set; a line each.
"""

import os
import sys

VARIABLE = "GCBARRIER_CAPTURE"


def _claimed(folder, facts):
    """Whether this is the first process of all that are started: the others are somebody else's."""
    try:
        claim = os.open(os.path.join(folder, "claim"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError:
        return False
    try:
        os.write(claim, facts.encode("utf-8"))
    finally:
        os.close(claim)
    return True


def _refusal():
    """Why the heap of this interpreter can't be written down, or ""."""
    if sys.version_info < (3, 8):  # first: the oldest have not even a name
        return "it runs on Python " + sys.version.split()[0] + ", and 3.8 is the oldest that is known here"
    if sys.implementation.name != "cpython":
        return "it runs on " + sys.implementation.name + ", and only CPython's collector tells its objects"
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or "free-threading" in sys.version:
        return "its Python is a free-threaded build, where other threads can't be held still"
    return "" if sys.maxsize > 1 << 32 else "its Python is a 32-bit build"


def _begin():
    here = os.path.dirname(os.path.abspath(__file__))
    folder, moment, path = os.environ.pop(VARIABLE).split("\n", 2)
    if path:
        os.environ["PYTHONPATH"] = path[1:]
    else:
        os.environ.pop("PYTHONPATH", None)
    refusal = _refusal()
    version = sys.version.split()[0]
    facts = "version {}\nrefusal {}\n".format(version, refusal)
    if not _claimed(folder, facts) or refusal:
        return
    pid = os.getpid()
    me = sys.modules[__name__]
    state = []  # type: list[bool]

    def write(*_signal):
        """Once, and in the process that began: a fork of it has inherited this."""
        if state or os.getpid() != pid:
            return
        state.append(True)
        import gc

        enabled = gc.isenabled()
        gc.disable()
        try:
            # Before anything else is loaded: what comes now is ours. What gc.freeze() has put aside is in no list.
            gc.unfreeze()
            held, names = [gc.get_objects()], set(sys.modules)
            with open(os.path.join(here, "walk.py"), encoding="utf-8") as file:
                source = file.read()
            scope = {"__name__": "walk"}
            exec(compile(source, "walk.py", "exec"), scope)
            scope["write"](held, names, me, os.path.join(folder, "heap"))  # type: ignore[operator]
        except BaseException as problem:
            _fail(folder, problem)
        finally:
            if enabled:
                gc.enable()

    kind, _, number = moment.partition(" ")
    if kind == "after":
        import _thread
        import time

        def later():
            time.sleep(float(number))
            write()

        _thread.start_new_thread(later, ())
    elif kind == "signal":
        import _signal  # type: ignore[import-not-found]

        _signal.signal(int(number), write)
    else:
        import atexit

        # What is registered first is called last: after all that the program has registered.
        atexit.register(write)


def _fail(folder, problem):
    try:
        with open(os.path.join(folder, "failed"), "w") as file:
            file.write("{}: {}".format(type(problem).__name__, problem))
    except BaseException:
        pass


try:
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
except ValueError:
    pass
if VARIABLE in os.environ:
    try:
        _begin()
    except Exception:
        pass
# The program's own, or Debian's; where there is none, the interpreter hears the same as it would without this one.
sys.modules.pop(__name__, None)
__import__("sitecustomize")
