"""What a Python stage of a Ringway pipeline may import."""

__all__ = ["Message"]


class Message:
    """A result that is handed on as one message, whatever its value is: a list, say, which would otherwise be several.

    key:  names the message for stages with `partition`, which send equal keys to the same process: any JSON value, used instead of
          their own filter. None leaves it to them.
    port: the output of the stage that it leaves by.
    """

    __slots__ = ("value", "key", "port")

    def __init__(self, value, *, key=None, port=None):
        self.value = value
        self.key = key
        self.port = port

    def __repr__(self):
        return f"Message({self.value!r}, key={self.key!r}, port={self.port!r})"
