"""A small OpenID Connect issuer: tokens like those of INDIGO IAM, for one machine."""
