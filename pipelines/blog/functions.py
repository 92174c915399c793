"""Three functions, as somebody has them: frames come in, each is worked on, each result is sent off."""

import hashlib
import json
import urllib.request


def work(count):
    """The one fast source: a camera, a file, a sensor."""
    for number in range(count):
        yield {"number": number, "pixels": [(number * 31 + i * i) % 256 for i in range(256)]}


def work2(frame):
    """What takes time: a tenth of a millisecond of it here."""
    digest = bytes(frame["pixels"])
    for _ in range(200):
        digest = hashlib.sha256(digest).digest()
    return {"number": frame["number"], "digest": digest.hex()}


def work3(result, url):
    """Delivers one result."""
    request = urllib.request.Request(url, json.dumps(result).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        pass
