"""What S3 and boto3 complain about, in packmule's words: what happened, to what, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from export_core.errors import DeliveryInterrupted, DestinationUnusable, PackmuleError
from strategies.masking import scrub
from strategies.s3_client import code, is_passing, status

_LONGEST_QUOTE = 300
_WHO = (
    "say who you are as for the AWS tools: AWS_PROFILE or --profile, AWS_ACCESS_KEY_ID, or ~/.aws/credentials"
)
_RIGHTS = (
    "the credentials need s3:PutObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts there, "
    "and the use of the key where KMS encrypts"
)
_BAD_KEYS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_NO_IDENTITY = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "ProfileNotFound",
        "NoAuthTokenError",
        "TokenRetrievalError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "ConfigParseError",
        "LoginRefreshRequired",
    }
)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn boto3's errors into DestinationUnusable and DeliveryInterrupted. ``place`` is shown."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except PackmuleError:
        raise
    except ClientError as exc:
        raise _refused(exc, place) from exc
    except BotoCoreError as exc:
        raise _not_reached(exc, place) from exc
    except Exception as exc:
        if not _is_boto(exc):
            raise
        raise _not_reached(exc, place) from exc


def _is_boto(exc: Exception) -> bool:
    """An impossible endpoint is a ValueError, and errors of the parsers are outside of botocore's tree."""
    return is_passing(exc) or (isinstance(exc, ValueError) and "endpoint" in str(exc).lower())


def _refused(exc: Exception, place: str) -> PackmuleError:
    """The server answered with an error."""
    name = code(exc)
    if name == "NoSuchBucket":
        return DestinationUnusable(
            f"{place}: there is no such bucket",
            hint="create it, or correct --to, --region or --endpoint-url",
        )
    if name in _BAD_KEYS:
        return DestinationUnusable(f"{place}: the credentials were refused ({name})", hint=_WHO)
    if status(exc) in (401, 403):
        return DestinationUnusable(f"{place}: access denied ({_quote(exc)})", hint=_RIGHTS)
    if is_passing(exc):
        return DeliveryInterrupted(
            f"{place}: the server goes on failing ({_quote(exc)})",
            hint="try again later with packmule resume",
        )
    return DestinationUnusable(f"{place}: the server refused ({_quote(exc)})", hint=_hint_for(exc))


def _hint_for(exc: BaseException) -> str:
    if status(exc) in (301, 307, 400, 404, 405):
        return "check --endpoint-url, --region and the bucket: does an S3 server answer there?"
    return "see the server's words; packmule resume tries again"


def _not_reached(exc: Exception, place: str) -> PackmuleError:
    """Nothing came back, or nothing was even sent."""
    name = type(exc).__name__
    if name in _NO_IDENTITY:
        return DestinationUnusable(f"{place}: {_quote(exc)}", hint=_WHO)
    if is_passing(exc):
        return DeliveryInterrupted(
            f"{place}: the server cannot be reached, or breaks off ({_quote(exc)})",
            hint="check --endpoint-url and the network; packmule resume goes on where it stopped",
        )
    return DestinationUnusable(
        f"{place}: {_quote(exc)}", hint="check --to, --endpoint-url, --region and --profile"
    )


def _quote(exc: BaseException) -> str:
    """The server's or the library's own words, on one line, with anything like a password masked."""
    words = getattr(exc, "response", {}).get("Error", {}).get("Message") or str(exc)
    text = f"{code(exc)}: {words}" if code(exc) else words
    return scrub(" ".join(text.split()), ())[:_LONGEST_QUOTE]
