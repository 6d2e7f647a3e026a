"""How people log in to the sandbox's Airflow: with users of its database; login by OIDC comes with its own issue."""

from flask_appbuilder.const import AUTH_DB  # type: ignore[import-untyped]

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
