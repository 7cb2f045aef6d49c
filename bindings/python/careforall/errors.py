"""What can go wrong, by what to do about it.

========================  ==============================================================
InvalidError              fix the call
PermanentError            tell the user
ConflictError             re-read, then decide
TransientError            retry: it certainly did not happen
CircuitOpenError          the same, after ``retry_after``: the provider is out
InDoubtError              it may have happened: repeat with the same key, or ask
InternalError             report it
========================  ==============================================================
"""

from __future__ import annotations

from . import native

__all__ = [
    "CareForAllError", "InvalidError", "PermanentError", "ConflictError", "TransientError",
    "CircuitOpenError", "InDoubtError", "InternalError",
]


class CareForAllError(Exception):
    """A call that failed. Never holds a secret or personal data.

    ``key`` is the idempotency key of a command that takes one, also when the call drew it: repeat the
    command with it after a TransientError or InDoubtError. ``retry_after`` is when to try again at the
    earliest, in seconds; 0: unspecified.
    """

    def __init__(self, status: int, message: str, *, origin: str = "", field: str = "",
                 native_code: int = 0, retry_after: float = 0) -> None:
        super().__init__(status, message)
        self.status = status
        self.name: str = native.status_name(status)
        self.message = message or native.status_text(status)
        self.origin = origin
        self.field = field
        self.native_code = native_code
        self.retry_after = retry_after
        self.key: str | None = None

    @property
    def retryable(self) -> bool:
        """True when the same call, with the same key, may succeed later."""
        return isinstance(self, (TransientError, InDoubtError))

    def __str__(self) -> str:
        at = f" ({self.field})" if self.field else ""
        return f"{self.name}{at}: {self.message}"

    def __reduce__(self) -> tuple[object, ...]:
        return from_detail, (self.status, self.native_code, self.origin, self.field, self.message), \
            {"key": self.key, "retry_after": self.retry_after}


class InvalidError(CareForAllError):
    """The call breaks a rule; ``field`` names the input."""


class PermanentError(CareForAllError):
    """It will not work however often it is tried: not found, declined, closed, a bad signature."""


class ConflictError(CareForAllError):
    """The world is not what the call assumed: a reused key, a stale version, a lost lease."""


class TransientError(CareForAllError):
    """Nothing was done; a later attempt may succeed."""


class CircuitOpenError(TransientError):
    """The provider is out and was not asked. The pledge is kept: only its key makes the provider call."""


class InDoubtError(CareForAllError):
    """It may have been done. Repeat with the same key and the answer will be certain."""


class InternalError(CareForAllError):
    """Out of memory, damaged data, or a defect."""


_CLASSES: dict[int, type[CareForAllError]] = {
    native.CLASS_INVALID: InvalidError,
    native.CLASS_PERMANENT: PermanentError,
    native.CLASS_CONFLICT: ConflictError,
    native.CLASS_TRANSIENT: TransientError,
    native.CLASS_IN_DOUBT: InDoubtError,
    native.CLASS_INTERNAL: InternalError,
}


def from_detail(status: int, native_code: int, origin: str, field: str, message: str,
                retry_after_ms: int = 0) -> CareForAllError:
    """Build the exception of a status. Called by the native layer."""
    kind = CircuitOpenError if status == native.ECIRCUIT else \
        _CLASSES.get(native.status_class_of(status), InternalError)
    return kind(status, message, origin=origin, field=field, native_code=native_code,
                retry_after=retry_after_ms / 1000)


def invalid(status: int, field: str, message: str) -> CareForAllError:
    """A rule that is checked before the library is called."""
    return from_detail(status, 0, "python", field, message)
