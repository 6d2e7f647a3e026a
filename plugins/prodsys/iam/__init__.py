"""OIDC tokens: who acts."""
