"""Files on their way to Google.

https://developers.google.com/workspace/drive/api/guides/manage-uploads: in one request up to 5 MB, else in pieces. An
upload in pieces can be resumed, so sending its request again never makes a second file.
"""

from __future__ import annotations

from googleapiclient.http import MediaUpload

MAX_IN_ONE_REQUEST = 5_000_000  # bytes
PIECE_BYTES = 8 * 1024 * 1024  # a multiple of 256 KiB, as Google demands


class BytesUpload(MediaUpload):  # type: ignore[misc]  # the library is untyped
    """Bytes to be uploaded. Lives for one request.

    Args:
        contents: The bytes.
        mime_type: Their type.
        in_pieces: Upload them in pieces even if they are small.
    """

    def __init__(self, contents: bytes, mime_type: str, *, in_pieces: bool = False) -> None:
        super().__init__()
        self._contents = contents
        self._mime_type = mime_type
        self._in_pieces = in_pieces or len(contents) > MAX_IN_ONE_REQUEST

    def chunksize(self) -> int:
        """Return the size of a piece."""
        return PIECE_BYTES

    def mimetype(self) -> str:
        """Return the type."""
        return self._mime_type

    def size(self) -> int:
        """Return the size of the whole."""
        return len(self._contents)

    def resumable(self) -> bool:
        """Return whether it is uploaded in pieces."""
        return self._in_pieces

    def getbytes(self, begin: int, length: int) -> bytes:
        """Return a piece."""
        return self._contents[begin : begin + length]

    def has_stream(self) -> bool:
        """Return False: a piece that was read from a stream could not be sent a second time."""
        return False
