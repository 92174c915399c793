"""The same workloads as Python stages of a pipeline: what the others' run() is in their files. bench.py lays this beside them."""
import json
import os
import sys
import time

from work import CAP, DIR, W, WORKERS, work as _work, source, Sink as _Sink

MESSAGE = {"W1": "4KiB", "W2": "1MiB", "W3": "4KiB", "W4": "4KiB"}


def work(message):
    return _work(message)


def work_batch(messages):
    return list(map(_work, messages))


class Sink(_Sink):
    def __call__(self, result):
        self.add(result)

    def close(self):
        self.done()
        with open(f"{DIR}/result.json") as file:
            result = json.load(file)
        result["run_to_first_s"] = round((self.first - int(os.environ["BENCH_RUN_AT"])) / 1e9, 3)
        with open(f"{DIR}/result.json", "w") as file:
            json.dump(result, file)


class SinkBatch(Sink):
    def __call__(self, results):
        for result in results:
            self.add(result)


def run(more="", name="", capacity=CAP):
    python = f'plugin: python, with: {{python: "{sys.executable}", callable: "ringway_peer:'
    queue = f"queue: {{capacity: {capacity}, message: {MESSAGE[W]}}}"
    with open(f"{DIR}/pipeline.yaml", "w") as file:
        file.write(f"""ringway: 1
stages:
  source: {{{python}source"}}}}
  work: {{inputs: [source], processes: {WORKERS}, {queue}, {python}work{name.lower()}"{more}}}}}
  sink: {{inputs: [work], {queue}, {python}Sink{name.replace("_b", "B")}"{more if name else ""}}}}}
""")
    binary = os.environ["RINGWAY"]
    # The interpreter that has come this far is the benchmark's: a user types the command.
    os.environ["BENCH_RUN_AT"] = str(time.monotonic_ns())
    os.execv(binary, [binary, "run", f"{DIR}/pipeline.yaml", "--progress", "off"])


def run_batch():
    run(", batch: 512", "_batch", 4096)


def run_view():
    run(", decode: view")
