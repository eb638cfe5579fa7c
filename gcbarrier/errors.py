"""The two exceptions a user meets."""


class GcBarrierError(Exception):
    """Something the user can mend: one sentence that says what, why and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class Unavailable(GcBarrierError):  # noqa: N818 - it reads as what it says: this barrier is Unavailable
    """A barrier, a tool or a feature that can't be had here.

    ``what`` is missing, ``why``, and the ``remedy`` that would mend it ("" where there is none).
    """

    def __init__(self, what: str, why: str, remedy: str = "") -> None:
        self.what = what
        self.why = why
        self.remedy = remedy
        sentence = f"{what} is not available here: {why}"
        super().__init__(f"{sentence} ({remedy})" if remedy else sentence)

    def __reduce__(self) -> tuple[type["Unavailable"], tuple[str, str, str]]:
        # The default would rebuild it from the finished sentence and fail in an executor's parent process.
        return (Unavailable, (self.what, self.why, self.remedy))
