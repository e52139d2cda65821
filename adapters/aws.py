"""What every AWS-shaped service needs: a client with time-outs, and its failures in our words."""

from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from domain.errors import Invalid, ReleaseError, Unavailable

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    s3={"addressing_style": "path"},  # works with every S3 look-alike, and with AWS
)
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestTimeTooSkewed"}


class AwsSettings(Protocol):
    """Where AWS, or something that speaks its protocol, is; None: boto3's own default."""

    @property
    def region(self) -> str | None:
        """Name the region."""
        ...

    @property
    def endpoint(self) -> str | None:
        """Give another URL than AWS's own."""
        ...


def client(service: str, settings: AwsSettings, credentials: tuple[str, str] | None = None) -> Any:
    """Make a client; `credentials` are access key and secret key, None: boto3's own chain. Raises Invalid."""
    key, secret = credentials or (None, None)
    try:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]  # boto3-stubs wants a literal
            region_name=settings.region,
            endpoint_url=settings.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=_CONFIG,
        )
    except (BotoCoreError, ValueError) as error:
        raise Invalid(f"{service}: {error}", "set region and endpoint in the configuration") from error


def code(error: ClientError) -> str:
    """Give the service's own word for a failure, such as NoSuchKey."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explained(error: BotoCoreError | ClientError, doing: str) -> ReleaseError:
    """Put a failure in our words: Unavailable for silence, 5xx and throttling, Invalid for the rest."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        message = f"{doing}: {code(error)}: {error.response.get('Error', {}).get('Message', '')}"
        if status >= 500 or status == 409 or code(error) in _BUSY:
            return Unavailable(message, "the service is busy or out of order; try again")
        return Invalid(message, "check bucket or name, credentials and permissions")
    if isinstance(error, NoCredentialsError | ParamValidationError):
        return Invalid(f"{doing}: {error}", "give credentials as references, or to boto3's own chain")
    return Unavailable(f"{doing}: {error}", "check the endpoint, the network and the service")
