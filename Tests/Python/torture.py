"""The torture's stages in Python: a source that makes the same messages as Sources/bench/TortureMessage.swift, whose every byte
follows from a seed, and functions that hand on what they get."""

WORD = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
HEAD = 49


def finalized(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & WORD
    return z ^ z >> 31


def mix(value):
    return finalized(value + GAMMA & WORD)


def length(key, limit):
    u = mix(key ^ 1)
    if u & 15 == 0:
        return limit
    if u & 15 == 1:
        return HEAD
    return HEAD + ((u >> 16) % (limit - HEAD + 1) >> (u >> 4 & 7))


def message(source, n, key, limit):
    size = length(key, limit)
    words = -((HEAD - size) // 8)
    body = b"".join((finalized(key + (i + 1) * GAMMA & WORD) | 0x4040404040404040).to_bytes(8, "little") for i in range(words))[: size - HEAD]
    # The last word counts as one that is not whole, be it empty.
    parts = [source, n, 0, 0, size] + [int.from_bytes(body[at : at + 8], "little") for at in range(0, len(body) // 8 * 8 + 1, 8)]
    h = 0x6A09E667F3BCC908
    for part in parts:
        h = (h ^ part) * GAMMA & WORD
        h ^= h >> 32
    return b"%02x %010x 0000 0000 %07x %016x %s" % (source, n, size, mix(h), body)


def messages(seed, limit, count, source):
    for n in range(count):
        key = mix(mix(seed ^ (source + 1) * GAMMA & WORD) ^ n)
        yield None if mix(key ^ 6) % 16 == 0 else message(source, n, key, limit)


def same(value):
    return value


def original(letter):
    """The message that a dead letter holds."""
    import base64

    return letter["payload"] if "payload" in letter else base64.b64decode(letter["payload_base64"])


class Each:
    """A class whose instance is called with many at once, and makes its results one by one."""

    def __call__(self, values):
        return (value for value in values)
