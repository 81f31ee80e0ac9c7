"""URLs, and the secrets that people put into them."""

from urllib.parse import urlsplit, urlunsplit

from kpe_core.errors import UserError


def without_credentials(url: str | None) -> str | None:
    """``url`` with neither user, password, query nor fragment, any of which may be secret; None where there is none."""
    if not url:
        return None
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def require_no_credentials(url: str) -> None:
    """A place's URL is printed, logged and kept with what is computed there, so it may hold no secret.

    Raises
    ------
    UserError
        when it names a user, or has a query; repeats neither.
    """
    rest = url.partition("://")[2]
    if rest and ("@" in rest.partition("/")[0] or "?" in rest):
        scheme = url.partition("://")[0]
        raise UserError(
            f"a {scheme}:// URL with a user, password or query is not taken, since URLs are printed and kept; give "
            "the bucket and path alone, and the keys by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or an AWS profile"
        )
