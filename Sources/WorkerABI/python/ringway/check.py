"""check.py FOLDER: says what is wrong with the Python stages of a pipeline, before any of them runs.

Reads a JSON array of {kind, callable, arguments, batch} from standard input and writes a JSON array with a list of
{setting, message, remedy} for each, as the last line. The lines before it say what it is about to do, for when it does not come to an end.
"""

import os
import sys

# The folder of this file comes first, but not with PYTHONSAFEPATH.
if getattr(sys.flags, "safe_path", False):
    sys.path.insert(0, os.path.dirname(__file__))
sys.path[0] = os.path.dirname(sys.path[0])
import ringway._host as host  # noqa: E402

sys.path[0] = os.path.join(sys.path[0], "ringway")


def main():
    import json

    # What a module prints while it is imported is no answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    requests = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    host.prepare_path(sys.argv[1])
    sys.argv = [""]
    answers = []
    for number, request in enumerate(requests):
        doing = {"stage": number, "doing": f"import {request['callable'].partition(':')[0]}"}
        os.write(answer, (json.dumps(doing) + "\n").encode())
        try:
            host.check(request["callable"], request["arguments"], request["kind"], request["batch"])
            answers.append([])
        except host.Problem as problem:
            answers.append([{"setting": problem.setting, "message": problem.message, "remedy": problem.remedy}])
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        json.dump(answers, out)
    # A module may have closed its streams, or set them to None.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    # Threads that an import has started are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
