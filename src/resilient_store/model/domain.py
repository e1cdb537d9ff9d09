"""Failure domains: which backends share fate, and how many platforms a set of them spans."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

_ENDPOINT = re.compile(r"([a-z0-9+.-]+://[^/]+)(?:/(.*))?")


def parts(domain: str) -> list[str]:
    """Split a failure domain; an endpoint such as ``s3://host:port`` is one part.

    Examples
    --------
    >>> parts("aws/us-east-1"), parts("s3://127.0.0.1:9000/rack-2")
    (['aws', 'us-east-1'], ['s3://127.0.0.1:9000', 'rack-2'])
    """
    endpoint = _ENDPOINT.fullmatch(domain)
    if endpoint is None:
        return domain.strip("/").split("/")
    return [endpoint[1], *(endpoint[2].strip("/").split("/") if endpoint[2] else [])]


@functools.lru_cache(maxsize=1024)  # every write asks, and of a few only
def platform(domain: str) -> str:
    """Return a failure domain's first part, the platform.

    ``min_domains`` counts these: two zones of one cloud are one platform.

    Examples
    --------
    >>> platform("aws/us-east-1/use1-az2")
    'aws'
    """
    return parts(domain)[0]


def within(domain: str, prefix: str) -> bool:
    """Say whether a domain lies in the failure domain `prefix`, part by part.

    Examples
    --------
    >>> within("aws/us-east-1", "aws"), within("aws-cn/north", "aws")
    (True, False)
    """
    wanted = parts(prefix)
    return parts(domain)[: len(wanted)] == wanted


def prefixes(domain: str) -> tuple[str, ...]:
    """Return every failure domain that a domain lies in, the platform first, itself last.

    Examples
    --------
    >>> prefixes("aws/us-east-1/use1-az2")
    ('aws', 'aws/us-east-1', 'aws/us-east-1/use1-az2')
    """
    some = parts(domain)
    return tuple("/".join(some[: count + 1]) for count in range(len(some)))


def platforms(names: Iterable[str], domains: Mapping[str, str]) -> tuple[str, ...]:
    """Return the platforms that these backends span, each once, in order.

    Parameters
    ----------
    names
        Backends.
    domains
        The failure domain of every backend.
    """
    return tuple(dict.fromkeys(platform(domains[name]) for name in names))
