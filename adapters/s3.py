"""Evidence and backups in S3, or anything that speaks its protocol."""

import hashlib
import io
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from adapters import aws
from adapters.folder import checked, digest
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, Unavailable
from domain.ports import Secrets

_PART = 16 * 1024 * 1024  # S3 allows 10 000 parts: objects up to 156 GiB
_ABANDONED = 86_400.0  # seconds after which an upload has lost its writer
_MISSING = {"NoSuchKey", "404", "NotFound"}
_TAKEN = {"PreconditionFailed", "412"}


class S3:
    """Keys live below `prefix` in one bucket, which must exist.

    `credentials` are the references of access key and secret key, resolved through `secrets` at the first request;
    None: boto3's own chain. Write-once needs a server that honours `If-None-Match: *` (AWS since 2024, SeaweedFS).
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: tuple[str, str] | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.endpoint = endpoint
        self.region = region
        self._credentials = credentials
        self._secrets = secrets

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Write an object; return its sha256. Large ones go up in parts and appear whole or not at all.

        Raises Conflict when the key exists with other content.
        """
        name = self.prefix + checked(key)
        sha256 = hashlib.sha256()
        with self._explained(name):
            if self._exists(name):
                return self._same(name, digest(chunks))
            parts = _parts(chunks, sha256)
            first = next(parts)
            try:
                if len(first) < _PART:
                    meta = {"sha256": sha256.hexdigest()}
                    self._client.put_object(Bucket=self.bucket, Key=name, Body=first, IfNoneMatch="*", Metadata=meta)
                else:
                    self._put_parts(name, first, parts)
            except ClientError as error:
                if aws.code(error) not in _TAKEN:
                    raise
                return self._same(name, sha256.hexdigest())  # another writer was first
        return sha256.hexdigest()

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Read an object. Raises Invalid when there is none."""
        name = self.prefix + checked(key)
        with self._explained(name):
            body = self._client.get_object(Bucket=self.bucket, Key=name)["Body"]
        with io.BufferedReader(_Download(body, f"s3://{self.bucket}/{name}"), 1024 * 1024) as stream:
            yield stream

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys with a prefix, in order."""
        return iter(self._listed(prefix))

    def ages(self, prefix: str) -> Mapping[str, float]:
        """Tell how many seconds ago each object with a prefix was written, by the clocks of S3 and of this machine."""
        return {key: time.time() - item["LastModified"].timestamp() for key, item in self._listed(prefix).items()}

    def remove(self, key: str) -> None:
        """Remove an object; a bucket with versions keeps what was there until its own rules let go of it.

        Raises Invalid when the key may not (s3:DeleteObject).
        """
        name = self.prefix + checked(key)
        with self._explained(name):
            self._client.delete_object(Bucket=self.bucket, Key=name)  # S3 says yes to what is not there, too

    def belongings(self) -> tuple[Belonging, ...]:
        """List uploads in parts that were begun and not ended; nobody can tell whose writer lives, so a day is in use.

        Raises Invalid when the key may not list them (s3:ListBucketMultipartUploads).
        """
        with self._explained(self.prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            begun = [upload for page in pages for upload in page.get("Uploads", [])]
        ages = [(upload, time.time() - upload["Initiated"].timestamp()) for upload in begun]
        return tuple(
            Belonging(kind="object", id=upload["UploadId"], name=upload["Key"], age=age, in_use=age < _ABANDONED)
            for upload, age in ages
        )

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Give up an upload in parts; its parts are kept and paid for no longer."""
        with self._explained(belonging.name), suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=belonging.name, UploadId=belonging.id)
        return True

    def _listed(self, prefix: str) -> dict[str, Any]:
        with self._explained(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            found = {item["Key"].removeprefix(self.prefix): item for page in pages for item in page.get("Contents", [])}
        return dict(sorted(found.items()))

    @cached_property
    def _client(self) -> Any:
        if self._credentials is None:
            return aws.client("s3", self)
        if self._secrets is None:
            raise Invalid(f"s3://{self.bucket}: credentials are references, but nothing resolves them", "pass secrets")
        key, secret = self._credentials
        return aws.client("s3", self, (self._secrets.resolve(key), self._secrets.resolve(secret)))

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and aws.code(error) in _MISSING:
                raise Invalid(f"s3://{self.bucket}/{name}: there is no such object", "list the keys") from None
            raise aws.explained(error, f"s3://{self.bucket}/{name}") from error

    def _exists(self, name: str) -> bool:
        try:
            self._client.head_object(Bucket=self.bucket, Key=name)
        except ClientError as error:
            if aws.code(error) in _MISSING:
                return False
            raise
        return True

    def _same(self, name: str, sha256: str) -> str:
        """Compare with the bytes that are there, not with what their metadata claims."""
        body = self._client.get_object(Bucket=self.bucket, Key=name)["Body"]
        if digest(body.iter_chunks(1024 * 1024)) != sha256:
            raise Conflict(
                f"s3://{self.bucket}/{name} exists with other content", "objects are written once: choose another key"
            )
        return sha256

    def _put_parts(self, name: str, first: bytes, rest: Iterator[bytes]) -> None:
        where = {"Bucket": self.bucket, "Key": name}
        where["UploadId"] = self._client.create_multipart_upload(**where)["UploadId"]
        done = []
        try:
            for number, part in enumerate(filter(None, chain((first,), rest)), start=1):
                etag = self._client.upload_part(**where, PartNumber=number, Body=part)["ETag"]
                done.append({"PartNumber": number, "ETag": etag})
            self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": done}, IfNoneMatch="*")
        except BaseException:  # whatever it was, its parts must not be kept and paid for
            self._client.abort_multipart_upload(**where)
            raise


class _Download(io.RawIOBase):
    """A body that is read as a plain stream and fails in our words."""

    def __init__(self, body: Any, name: str) -> None:
        self._body = body
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._body.read(len(buffer))
        except BotoCoreError as error:
            raise Unavailable(f"{self._name}: {error}", "the download broke off; try again") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _parts(chunks: Iterable[bytes], sha256: "hashlib._Hash") -> Iterator[bytes]:
    """Gather chunks into parts of equal size, the last one smaller, perhaps empty; hash on the way."""
    waiting = bytearray()
    for chunk in chunks:
        sha256.update(chunk)
        waiting += chunk
        while len(waiting) >= _PART:
            yield bytes(waiting[:_PART])
            del waiting[:_PART]
    yield bytes(waiting)
