"""The root of the tree, and what people write."""

from __future__ import annotations


class ProductionError(Exception):
    """Root of all errors that Prodsys raises on purpose."""


class ServiceUnavailable(ProductionError):
    """A service did not answer, or not in its own words; the same call may succeed later."""

    def __init__(self, service: str, reason: str) -> None:
        self.service, self.reason = service, reason
        super().__init__(f"{service} is not available: {reason}")


class OutageTooLong(ProductionError):
    """A service has been away for longer than may be waited."""

    def __init__(self, error: ServiceUnavailable, waited_s: float) -> None:
        self.service, self.waited_s = error.service, waited_s
        super().__init__(f"{error}; it was waited for {waited_s / 3600:,.1f} h: when it is back, retry the request")


class SpecInvalid(ProductionError, ValueError):
    """A request, chain or policy says something that cannot be; ``remedy`` says what would do."""

    def __init__(self, place: str, message: str, remedy: str = "") -> None:
        self.place, self.message, self.remedy = place, message, remedy
        super().__init__(f"{place}: {message}" + (f" ({remedy})" if remedy else ""))


class SettingMissing(ProductionError):
    """A setting that this call needs is not set."""

    def __init__(self, name: str, remedy: str) -> None:
        self.name = name
        super().__init__(f"setting {name} is missing: {remedy}")


class FileUnreadable(ProductionError):
    """A file handed to us is not what it should be as a whole: encoding, size, format."""

    def __init__(self, path: str, message: str, remedy: str) -> None:
        self.path, self.message, self.remedy = path, message, remedy
        super().__init__(f"{path}: {message} ({remedy})")


class FilesUnavailable(ServiceUnavailable):
    """A storage or a network file system did not answer; ``number`` is the errno when the system gave one."""

    def __init__(self, service: str, reason: str, number: int | None = None) -> None:
        self.number = number
        super().__init__(service, reason)


class NotAllowed(ProductionError):
    """The person may not do this."""

    def __init__(self, who: str, action: str, needs: str) -> None:
        self.who, self.action, self.needs = who, action, needs
        super().__init__(f"{who} may not {action}: it needs the role {needs}")
