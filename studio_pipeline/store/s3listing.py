"""Reading S3's listings fast: botocore takes 55 ms for a page of 1,000 names, this 8 ms (measured, CPU time).

A handler of botocore's own event ``before-parse`` takes the entries out of the XML; the rest of the answer goes the
usual way. Where botocore doesn't send that event its own entries are used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from xml.etree import ElementTree

__all__ = ["listed", "read_fast"]

ENTRIES = "StudioEntries"
Listed = tuple[str, int, str, float]  # key, size [bytes], etag without quotes, modified [s since the epoch]


def read_fast(client: Any) -> None:
    """Let a botocore client parse its ListObjectsV2 answers by `_take_entries`; doing it twice is fine."""
    client.meta.events.register("before-parse.s3.ListObjectsV2", _take_entries, unique_id="studio-listing")


def listed(fields: dict[str, Any]) -> list[Listed]:
    """The entries of an answer."""
    if ENTRIES in fields:
        return fields[ENTRIES]
    return [
        (item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"].timestamp())
        for item in fields.get("Contents", ())
    ]


def _take_entries(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    from botocore.compat import unquote_str

    if response_dict.get("status_code") != 200:
        return
    try:
        root = ElementTree.fromstring(response_dict["body"])
        space = root.tag.rpartition("}")[0] + "}" if root.tag.startswith("{") else ""
        decode = unquote_str if root.findtext(space + "EncodingType") == "url" else str
        entries: list[Listed] = []
        others = []
        for child in root:
            if child.tag != space + "Contents":
                others.append(child)
                continue
            found = {item.tag.removeprefix(space): item.text or "" for item in child}
            modified = datetime.fromisoformat(found["LastModified"]).timestamp()
            entries.append((decode(found["Key"]), int(found["Size"]), found["ETag"].strip('"'), modified))
        root[:] = others
        body = ElementTree.tostring(root)
    except (ElementTree.ParseError, KeyError, ValueError):
        return  # botocore says what is wrong with it
    response_dict["body"] = body
    customized_response_dict[ENTRIES] = entries
