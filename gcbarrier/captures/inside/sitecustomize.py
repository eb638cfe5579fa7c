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
    mine = [sys.modules[__name__]]  # type: list[object]
    state = []  # type: list[bool]
    kind, _, number = moment.partition(" ")

    def write(*_signal):
        """Once, and in the process that began: a fork of it has inherited this."""
        if state or os.getpid() != pid:
            return
        state.append(True)
        import gc

        try:
            with open("/proc/self/stat", "rb") as file:
                stat = file.read()
        except OSError as problem:
            _fail(folder, problem)
            return
        # What gc.freeze() has put aside is in no list before gc.unfreeze(), which would undo it for a program that goes
        # on. Python 3.12 has frozen something by itself, and at its end forks no more.
        if len(sys._current_frames()) == 1 and (kind == "exit" or not gc.get_freeze_count()):
            _write(here, folder, mine, stat)
        else:
            _apart(here, folder, mine, stat)

    mine.append(write)
    if kind == "after":
        import _thread
        import time

        def later():
            time.sleep(float(number))
            write()

        mine.append(later)
        _thread.start_new_thread(later, ())
    elif kind == "signal":
        import _signal  # type: ignore[import-not-found]

        _signal.signal(int(number), write)
    else:
        import atexit

        # What is registered first is called last: after all that the program has registered.
        atexit.register(write)


def _write(here, folder, mine, stat):
    import gc

    enabled = gc.isenabled()
    gc.disable()
    try:
        # Before anything else is loaded: what comes now is ours. Where something is frozen this is a fork, or the end.
        gc.unfreeze()
        held = [gc.get_objects()]
        with open(os.path.join(here, "walk.py"), encoding="utf-8") as file:
            source = file.read()
        scope = {"__name__": "walk"}
        exec(compile(source, "walk.py", "exec"), scope)
        scope["write"](held, mine, stat, os.path.join(folder, "heap"))  # type: ignore[operator]
    except BaseException as problem:
        _fail(folder, problem)
    finally:
        if enabled:
            gc.enable()


def _apart(here, folder, mine, stat):
    """In a fork: no other thread comes along to it, where there is no holding them still, and the program stays frozen.

    It is nobody's child (whoever waits for children never hears of it) and keeps nothing open but what says that it
    is still there.
    """
    try:
        alive = os.open(os.path.join(folder, "alive"), os.O_WRONLY | os.O_NONBLOCK)
        warnings = sys.modules.get("warnings")
        if warnings is None:
            child = os.fork()
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the other threads, as we know
                child = os.fork()
    except Exception as problem:
        _fail(folder, problem)
        return
    if child:
        os.close(alive)
        try:
            os.waitpid(child, 0)
        except OSError:
            pass  # the program waits for all there are, or ignores them
        return
    try:
        if os.fork() == 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nowhere, number)
            for number in map(int, os.listdir("/proc/self/fd")):
                if number > 2 and number != alive:
                    os.closerange(number, number + 1)  # which does not mind that the list's own is closed
            _write(here, folder, mine, stat)
    finally:
        os._exit(0)


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
