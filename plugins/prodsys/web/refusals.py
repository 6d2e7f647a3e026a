"""Refusals that only HTTP knows: who calls, from where, with what conditions."""

from __future__ import annotations

from prodsys.errors import ProductionError, ServiceUnavailable


class NotAuthenticated(ProductionError):
    """No credential, or one that Airflow does not take."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}: send Authorization: Bearer <token>, a token from POST /auth/token")


class OriginRefused(ProductionError):
    """A change asked for by a page of another site, or by nobody knows which."""

    def __init__(self, origin: str | None) -> None:
        self.origin = origin
        said = f"a page of {origin} may not change anything here" if origin else "a cookie without an Origin"
        super().__init__(f"{said}: changes come from this server's own pages, or with a bearer token")


class AccessRefused(ProductionError):
    """Airflow does not let this person see it."""

    def __init__(self, who: str, access: str) -> None:
        self.who, self.access = who, access
        super().__init__(f"{who} may not {access}: Airflow's roles decide it")


class BodyTooLarge(ProductionError):
    """More than any call needs."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"a body may have {limit_bytes} bytes")


class ConditionMissing(ProductionError):
    """The call must say which picture of the request it was decided on."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"send If-Match with the ETag of the picture of {request_id} that you decided on "
            "(GET it, or take it from the last answer), or If-Match: *"
        )


class AnswerLost(ProductionError):
    """The call with this key was done, and its answer was lost."""

    def __init__(self, about: str) -> None:
        self.about = about
        super().__init__(
            f"the call with this idempotency key was done, its answer was lost on the way: look at {about}; "
            "take a new key to do it once more"
        )


class SpecsFaulty(ProductionError):
    """The specs of this server cannot be read; whoever calls can do nothing about it."""


class TooBusy(ServiceUnavailable):
    """As many actions as this server does at once are under way."""

    def __init__(self, at_once: int) -> None:
        super().__init__("this server", f"{at_once} actions are under way, ask again in a moment")
