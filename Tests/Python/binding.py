"""binding.py FOLDER: compares what ringway/_host.py in FOLDER says of calls with what `inspect` says, and prints how many it looked at."""

import inspect
import itertools
import sys

sys.path.insert(0, sys.argv[1])
import ringway._host as host  # noqa: E402

PARAMETERS = [
    "", "value", "value, a", "value, a=1", "value, *, a", "value, *, a=1", "value, *args", "value, **more", "*args, **more", "value, /, a",
    "value, a, /, b=2", "a, value=3", "value=1, a=2", "*, a=1, b", "value, *args, a, b=1, **more",
]
ARGUMENTS = [dict.fromkeys(names, 1) for count in range(3) for names in itertools.combinations(["a", "b", "value", "other"], count)]


def made(parameters):
    names = {}
    exec(f"def function({parameters}): pass\nclass Class:\n  def __init__({', '.join(filter(None, ['self', parameters]))}): pass\nclass Plain: pass", names)
    return names["function"], names["Class"], names["Plain"]


count = 0
for parameters, given, arguments in itertools.product(PARAMETERS, [0, 1], ARGUMENTS):
    for target in made(parameters):
        try:
            inspect.signature(target).bind(*range(given), **arguments)
            binds = True
        except TypeError:
            binds = False
        assert host.binds_plainly(target, given, arguments) == binds, (parameters, given, arguments, target)
        count += 1
for target in [len, print, host.Problem, type("Meta", (type,), {})("Made", (), {}), __import__("functools").partial(made)]:
    assert not host.binds_plainly(target, 1, {"other": 1}), target
print(count)
