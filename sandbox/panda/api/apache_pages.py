"""Pages as Apache in front of PanDA sends them when something is wrong with it, and one of a sign-on."""

from __future__ import annotations

from fastapi import Response

_HEAD = '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n'
_PAGE = "<html><head>\n<title>{status} {title}</title>\n</head><body>\n<h1>{title}</h1>\n{text}\n</body></html>\n"
_TEXTS = {
    500: (
        "Internal Server Error",
        "<p>The server encountered an internal error or\nmisconfiguration and was unable to complete\n"
        "your request.</p>\n"
        "<p>Please contact the server administrator at \n root@localhost to inform them of the time this error "
        "occurred,\n and the actions you performed just before this error.</p>\n"
        "<p>More information about this error may be available\nin the server error log.</p>",
    ),
    502: (
        "Proxy Error",
        "<p>The proxy server received an invalid\nresponse from an upstream server.<br />\n"
        "The proxy server could not handle the request<p>Reason: <strong>Error reading from remote server</strong></p>"
        "</p>",
    ),
    503: (
        "Service Unavailable",
        "<p>The server is temporarily unable to service your\nrequest due to maintenance downtime or capacity\n"
        "problems. Please try again later.</p>",
    ),
}
_LOGIN = """<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Sign in with your institute's account</h1>
<form method="post" action="/login"><input name="username"><input name="password" type="password"></form>
</body></html>
"""


def apache_page(status: int) -> Response:
    """Error page of a status; not a word of JSON."""
    title, text = _TEXTS[status]
    page = _HEAD + _PAGE.format(status=status, title=title, text=text)
    return Response(page, status_code=status, headers={"content-type": "text/html; charset=iso-8859-1"})


def login_page() -> Response:
    """Page of a sign-on that stands where JSON is expected, with status 200."""
    return Response(_LOGIN, headers={"content-type": "text/html; charset=utf-8"})
