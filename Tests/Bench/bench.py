#!/usr/bin/env python3
"""Measures Ringway beside its peers: one run, one machine, rounds in which everybody has a turn (A B C, A B C, ...).

A ratio is taken inside a round, and the median of the rounds is what counts: machines move their cores about, and identical
runs differ. `make bench` calls it; the environment chooses:

  BENCH_ONLY=ring,W1     only these tables: ring fan lease trip W1 W2 W3 W4 W5 python faults start idle cost options
  ROUNDS=5               rounds of the pipelines, of start and of costs
  RING_ROUNDS=9          rounds of the rings
  PEERS=all              every peer that the peers' folder knows, not only those that matter
  PEERS_DIR=FOLDER       the peers: programs that do the same work in other ways; without them ours run alone
  BENCH_JSON=FILE        writes the table with every round's figures
  BENCH_QUICK=1          one short round of each: does it work at all?
  BENCH_BINARY=FILE      the program to measure
"""
import ast, json, os, platform, re, resource, shutil, signal, statistics, subprocess, sys, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ENV = os.environ
QUICK = ENV.get("BENCH_QUICK", "") not in ("", "0")
ROUNDS = int(ENV.get("ROUNDS") or (1 if QUICK else 5))
RING_ROUNDS = int(ENV.get("RING_ROUNDS") or (1 if QUICK else 9))
ALL_PEERS = ENV.get("PEERS") == "all"
TABLES = ["ring", "fan", "lease", "trip", "W1", "W2", "W3", "W4", "W5", "python", "faults", "start", "idle", "cost", "options"]
ONLY = [t for t in (ENV.get("BENCH_ONLY") or ",".join(TABLES)).split(",") if t]
BENCH = os.path.abspath(ENV.get("BENCH_BINARY") or f"{TOP}/.build/release/bench")
CACHE = f"{TOP}/.build-bench"
PEERS = f"{CACHE}/peers"
PYTHON = f"{PEERS}/venv/bin/python"
SECONDS = 0.05 if QUICK else 0.3
# What an interpreter has compiled it keeps, as is the default: otherwise each one that starts compiles the peers' modules and ours anew.
ENV.pop("PYTHONDONTWRITEBYTECODE", None)
notes = []


def say(text):
    print(text, file=sys.stderr, flush=True)


def note(text):
    if text not in notes:
        notes.append(text)
        say(f"  ({text})")


# ---------------------------------------------------------------- measuring and comparing


class Unavailable(Exception):
    """This machine or this state of the program does not allow the measurement."""


def busy_with_others(seconds=1.0):
    """The share of all cores that is taken while we do nothing (proc(5), /proc/stat)."""
    def look():
        figures = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
        return figures[3] + figures[4], sum(figures)
    (idle, total) = look()
    time.sleep(seconds)
    (idle_now, total_now) = look()
    return 1 - (idle_now - idle) / max(1, total_now - total)


def cpu_seconds():
    """Of all children that have ended and were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Table:
    """Measurements that have a turn in each round, and the rows that compare them."""

    def __init__(self, name, title, rounds):
        self.name, self.title, self.rounds = name, title, rounds
        self.runs, self.figures, self.rows, self.busy = {}, {}, [], []

    def run(self, label, call):
        self.runs[label] = call
        self.figures[label] = []

    def compare(self, what, ours, other, at_least=None, at_most=None, unit="/s"):
        """A ratio of two measurements. For times and sizes too it is ours divided by the other's."""
        self.rows.append(dict(what=what, ours=ours, other=other, at_least=at_least, at_most=at_most, unit=unit))

    def value(self, what, ours, at_least=None, at_most=None, unit=""):
        """A figure that is judged by itself."""
        self.rows.append(dict(what=what, ours=ours, other=None, at_least=at_least, at_most=at_most, unit=unit))

    def measure(self):
        dead = set()
        for n in range(self.rounds):
            say(f"{self.title}: round {n + 1} of {self.rounds}")
            self.busy.append(busy_with_others(0.2 if QUICK else 1.0))
            for label, call in self.runs.items():
                figure = None
                if label not in dead:
                    try:
                        figure = call()
                    except Unavailable as reason:
                        dead.add(label)
                        note(f"{self.name}, {label}: not available: {reason}")
                    except Exception as error:  # a peer that fails must not end the run; ours must be seen to
                        note(f"{self.name}, {label}: FAILED in round {n + 1}: {error}")
                self.figures[label].append(figure)

    @property
    def is_disturbed(self):
        """Then what is compared by the clock is which program gets more of the cores, not which needs less of them."""
        return bool(self.busy) and statistics.median(self.busy) > 0.1

    def results(self):
        return [self.result(row) for row in self.rows]

    def result(self, row):
        ours = self.figures[row["ours"]]
        other = self.figures[row["other"]] if row["other"] else None
        if other is None:
            each = [x for x in ours if x is not None]
        else:
            each = [a / b for a, b in zip(ours, other) if a is not None and b]
        middle = statistics.median(each) if each else None
        target = ({"at_least": row["at_least"]} if row["at_least"] is not None
                  else {"at_most": row["at_most"]} if row["at_most"] is not None else None)
        met = None
        if target and middle is not None:
            met = middle >= row["at_least"] if row["at_least"] is not None else middle <= row["at_most"]

        def median(figures):
            known = [x for x in figures or [] if x is not None]
            return statistics.median(known) if known else None

        return dict(table=self.name, what=row["what"], target=target, ratio=middle if other is not None else None,
                    value=middle if other is None else None, met=met, disturbed=self.is_disturbed, unit=row["unit"],
                    ours=median(ours), other=median(other), lowest=min(each, default=None), highest=max(each, default=None),
                    rounds={row["ours"]: ours, **({row["other"]: other} if row["other"] else {})})


def short(x):
    if x is None:
        return "-"
    for limit, divisor, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(x) >= limit:
            return f"{x / divisor:.3g} {suffix}"
    return f"{x:.3g}" if abs(x) < 1000 else f"{x:.0f}"


def show(tables):
    print(f"\n{'':52} {'median':>8} {'target':>9}  {'met':4} {'lowest':>8} {'highest':>8} {'ringway':>10} {'other':>10}")
    for table in tables:
        print(f"{table.title}")
        for r in table.results():
            target = r["target"] or {}
            wanted = "".join(f"{'≥' if k == 'at_least' else '≤'} {short(v)}" for k, v in target.items())
            figure = r["ratio"] if r["ratio"] is not None else r["value"]
            met = "" if r["met"] is None else ("yes" if r["met"] else "NO") + ("?" if r["disturbed"] else "")
            values = (f"{short(r['ours']):>10} {short(r['other']):>10} {r['unit']}" if r["other"] is not None or r["ratio"] is not None
                      else f"{'':21} {r['unit']}")
            print(f"  {r['what']:50} {short(figure):>8} {wanted:>9}  {met:4} {short(r['lowest']):>8} {short(r['highest']):>8} {values}".rstrip())
    for table in tables:
        if table.is_disturbed:
            print(f"note: {table.name}: others took {statistics.median(table.busy):.0%} of the cores: its verdicts mean nothing, run it again on a quiet machine")
    for text in notes:
        print(f"note: {text}")


# ---------------------------------------------------------------- what is needed


def have(program):
    return shutil.which(program) is not None


def install(*packages):
    """Debian packages, where we may."""
    if not have("apt-get") or os.geteuid() != 0:
        return False
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(ENV, DEBIAN_FRONTEND="noninteractive"))
    command = ["apt-get", "install", "-y", "-qq", *packages]
    return subprocess.run(command, **quiet).returncode == 0 or (
        subprocess.run(["apt-get", "update"], **quiet).returncode == 0 and subprocess.run(command, **quiet).returncode == 0)


def need(programs):
    """`programs` maps a program to its package."""
    missing = [package for program, package in programs.items() if not have(program)]
    if missing and not install(*missing):
        note("missing: " + " ".join(missing))


def set_up_peers():
    """Copies the peers into the cache and installs what those that run need. The folder itself is never written to."""
    source = ENV.get("PEERS_DIR", "")
    if not os.path.isdir(source):
        note("no PEERS_DIR: our pipelines run alone")
        return False
    os.makedirs(CACHE, exist_ok=True)
    shutil.copytree(source, PEERS, dirs_exist_ok=True, ignore=shutil.ignore_patterns("venv", "data", "results", "__pycache__"))
    subprocess.run(["chmod", "-R", "u+w", PEERS], check=True)
    join_peers()
    say("setting up the peers")
    if ALL_PEERS:
        subprocess.run(["sh", f"{PEERS}/setup.sh"], check=True, stdout=sys.stderr)
        return True
    need({"gcc": "gcc", "curl": "curl", "jq": "jq"})
    if not os.path.exists(PYTHON):
        subprocess.run([sys.executable, "-m", "venv", f"{PEERS}/venv"], check=True)
    wanted = [line.strip() for line in open(f"{PEERS}/requirements.txt") if re.match(r"(faster-fifo|pycurl)==", line)]
    stamp = f"{PEERS}/venv/installed"
    if not os.path.exists(stamp) or open(stamp).read().split() != wanted:
        if subprocess.run([PYTHON, "-m", "pip", "-q", "install", *wanted], stdout=sys.stderr).returncode == 0:
            open(stamp, "w").write("\n".join(wanted))
        else:
            note("pip could not install " + " ".join(wanted))
    if not os.path.exists(f"{PEERS}/httpserver"):
        subprocess.run(["gcc", "-O2", "-o", f"{PEERS}/httpserver", f"{PEERS}/httpserver.c"], check=True)
    os.makedirs(f"{PEERS}/data", exist_ok=True)
    if not os.path.exists(f"{PEERS}/data/in.jsonl"):
        subprocess.run([sys.executable, f"{PEERS}/gen_jsonl.py", "100", f"{PEERS}/data/in.jsonl"], check=True, stdout=sys.stderr)
    return True


def join_peers():
    """Our Python stages as one more peer, started, timed and tormented by the peers' own program."""
    shutil.copy(f"{HERE}/peer/ringway_peer.py", f"{PEERS}/impl/ringway_peer.py")
    main = open(f"{PEERS}/impl/__main__.py").read()
    ours = 'PEERS.update({"ringway": "ringway_peer:run", "ringway-batch": "ringway_peer:run_batch", "ringway-view": "ringway_peer:run_view"})\n\n'
    with open(f"{PEERS}/impl/__main__.py", "w") as file:
        file.write(main.replace('if __name__ == "__main__":', ours + 'if __name__ == "__main__":', 1))
    ENV["RINGWAY"] = BENCH


def build_boost():
    source, program = f"{HERE}/boost_queue.cpp", f"{CACHE}/boost_queue"
    if os.path.exists(program) and os.path.getmtime(program) >= os.path.getmtime(source):
        return program
    os.makedirs(CACHE, exist_ok=True)
    need({"g++": "g++"})
    build = ["g++", "-O2", "-std=c++17", "-o", program, source, "-lrt", "-pthread"]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if have("g++") and (subprocess.run(build, **quiet).returncode == 0 or install("libboost-dev") and subprocess.run(build, **quiet).returncode == 0):
        return program
    note("boost is missing (apt-get install libboost-dev g++)")
    return None


# ---------------------------------------------------------------- rings


def ask(command, limit=90):
    """Runs one measurement and reads the line of JSON that it prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit)
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout)
    if "unavailable" in found:
        raise Unavailable(found["unavailable"])
    return found


def ring(contender, size, key="rate", *more):
    program = {"boost": [f"{CACHE}/boost_queue"], "mpq": [PYTHON, f"{HERE}/queues.py", "mpq"],
               "manager": [PYTHON, f"{HERE}/queues.py", "manager"], "fifo": [PYTHON, f"{HERE}/queues.py", "fifo"]}
    command = program.get(contender, [BENCH, "ring", contender])
    return ask([*command, "--size", str(size), "--seconds", str(SECONDS), *map(str, more)])[key]


SIZES = {"64 B": 64, "1 KiB": 1024, "64 KiB": 64 << 10, "1 MiB": 1 << 20}
NAMES = {"spsc": "the SPSC ring in C", "memcpy": "hot memcpy", "pipe": "pipe", "sockets": "socket pair", "boost": "boost message_queue",
         "mpq": "multiprocessing.Queue", "manager": "Manager().Queue", "fifo": "faster-fifo"}
AT_LEAST = {"mpq": 30, "manager": 20, "boost": 2, "pipe": 3}


def contenders(has_python):
    return (["pipe", "sockets"] + (["boost"] if "boost" in ready else []) + (["mpq", "manager", "fifo"] if has_python else []))


def ring_table(has_python):
    t = Table("ring", "Ring, one producer to one consumer, messages a second", RING_ROUNDS)
    for text, size in SIZES.items():
        for c in ["ringway", "spsc", "memcpy", *contenders(has_python)]:
            t.run(f"{c} {text}", lambda c=c, size=size: ring(c, size))
        if size >= 64 << 10:
            t.run(f"in place {text}", lambda size=size: ring("ringway", size, "rate", "--in-place"))
    for text, size in SIZES.items():
        t.compare(f"{text} against {NAMES['spsc']}", f"ringway {text}", f"spsc {text}", at_least=0.7 if size == 64 else 0.8)
    for text, size in SIZES.items():
        if size >= 64 << 10:
            t.compare(f"{text} written in place against copied", f"in place {text}", f"ringway {text}")
            t.compare(f"{text} written and read in place against {NAMES['memcpy']}", f"in place {text}", f"memcpy {text}",
                      at_least=0.9 if size == 1 << 20 else None)
    for c in contenders(has_python):
        for text in SIZES:
            t.compare(f"{text} against {NAMES[c]}", f"ringway {text}", f"{c} {text}", at_least=AT_LEAST.get(c))
    return t


def fan_table(has_python):
    t = Table("fan", "Ring, several producers or consumers, messages a second", RING_ROUNDS)
    for producers, consumers in ((1, 4), (4, 1)):
        for text, size in SIZES.items():
            for c in ["ringway", *contenders(has_python)]:
                if c == "pipe" and size > 4096:
                    continue                                      # more than PIPE_BUF: writers would mix
                t.run(f"{c} {producers}-{consumers} {text}",
                      lambda c=c, size=size, p=producers, q=consumers: ring(c, size, "rate", "--producers", p, "--consumers", q))
    for producers, consumers in ((1, 4), (4, 1)):
        for text, size in SIZES.items():
            for c in contenders(has_python):
                if f"{c} {producers}-{consumers} {text}" in t.runs:
                    t.compare(f"{producers}-{consumers}, {text} against {NAMES[c]}", f"ringway {producers}-{consumers} {text}",
                              f"{c} {producers}-{consumers} {text}")
    return t


def lease_table():
    t = Table("lease", "Others' rate while one message is held all the while, messages a second", RING_ROUNDS)
    for text, size in SIZES.items():
        t.run(f"held {text}", lambda size=size: ring("ringway", size, "rate", "--beside", "lease"))
        t.run(f"free {text}", lambda size=size: ring("ringway", size, "rate", "--beside", "nobody"))
        t.compare(f"{text}, held against not held", f"held {text}", f"free {text}", at_least=0.8)
    return t


def trip_table(has_python):
    t = Table("trip", "Round trip through two queues, microseconds", RING_ROUNDS)
    seen = {}

    def trip(c, size):
        seen[c, size] = ask_trip(c, size)
        return seen[c, size]["p50_ns"] / 1000

    def ask_trip(c, size):
        program = [f"{CACHE}/boost_queue"] if c == "boost" else ([PYTHON, f"{HERE}/queues.py", c] if c in ("mpq", "manager", "fifo") else [BENCH, "ring", c])
        return ask([*program, "--size", str(size), "--seconds", str(SECONDS), "--round-trip"])

    for text, size in SIZES.items():
        for c in ["ringway", "spsc", *contenders(has_python)]:
            t.run(f"{c} {text} p50", lambda c=c, size=size: trip(c, size))
            t.run(f"{c} {text} p99", lambda c=c, size=size: seen[c, size]["p99_ns"] / 1000)
    for text, size in SIZES.items():
        for at in ("p50", "p99"):
            t.compare(f"{text}, {at}, against {NAMES['spsc']}", f"ringway {text} {at}", f"spsc {text} {at}", unit="us",
                      at_most=2 if (size, at) == (64, "p50") else None)
    for c in contenders(has_python):
        for text in SIZES:
            t.compare(f"{text}, p50, against {NAMES[c]}", f"ringway {text} p50", f"{c} {text} p50", unit="us")
    return t


def cost_table():
    t = Table("cost", "What promises cost: messages a second without against with", RING_ROUNDS)
    for text, size in (("64 B", 64), ("1 KiB", 1024)):
        t.run(f"with all {text}", lambda size=size: ring("ringway", size))
        for what, words in (("cell", "the commit cell"), ("counters", "the counters")):
            t.run(f"without {what} {text}", lambda size=size, what=what: ring("ringway", size, "rate", "--without", what))
            t.compare(f"{text} without {words}", f"without {what} {text}", f"with all {text}")
    return t


def options_table():
    """What is asked for by a key or an option, beside the same pipeline without it."""
    t = Table("options", "What more promises cost: whole pipelines, messages a second with against without", ROUNDS)
    for w, words in (("W1", "64 B"), ("W3", "0.5 ms of work")):
        t.run(f"{w}", lambda w=w: ours(w))
        t.run(f"{w} ordered", lambda w=w: ours(w, **{"stages.work.order": "input"}))
        t.run(f"{w} state", lambda w=w: ours(w, state=True))
        t.compare(f"{words}, order: input", f"{w} ordered", w)
        t.compare(f"{words}, --state", f"{w} state", w)
    return t


# ---------------------------------------------------------------- pipelines


class Pipeline:
    """One run of a pipeline file in a folder of its own."""

    def __init__(self, file, **values):
        self.folder = tempfile.mkdtemp(prefix="ringway-bench.")
        self.arguments = [BENCH, "run", file, "--progress", "off"]
        for name, value in values.items():
            self.arguments += ["--set", f"{name}={value}"]

    @classmethod
    def shipped(cls, name, state=False, **values):
        pipeline = cls(f"{HERE}/pipelines/{name}.yaml", **values)
        if state:
            pipeline.arguments += ["--state", f"{pipeline.folder}/state"]
        if name != "idle":
            pipeline.arguments += ["--set", f"directory={pipeline.folder}"]
        return pipeline

    def __enter__(self):
        self.errors = open(f"{self.folder}/errors", "w")
        self.spawned = time.monotonic_ns()
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors, cwd=self.folder)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, limit=120):
        self.process.wait(limit)
        self.ended = time.monotonic_ns()
        if self.process.returncode != 0:
            raise RuntimeError(f"exit {self.process.returncode}: {open(f'{self.folder}/errors').read()[-400:]}")

    def started(self):
        return int(open(f"{self.folder}/t0").read())

    def result(self, count):
        found = json.load(open(f"{self.folder}/result.json"))
        if found["received"] != count or found["seq_sum"] != count * (count - 1) // 2 or found["wrong"] != 0:
            raise RuntimeError(f"the sink got something else than {count} messages: {found}")
        return found

    def wait_for_count(self, least, limit=30):
        """Until the sink has seen so many."""
        end = time.monotonic() + limit
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if int.from_bytes(open(f"{self.folder}/count", "rb").read(8), "little") >= least:
                    return
            except OSError:
                pass
            time.sleep(0.001)
        raise RuntimeError(f"the sink has not seen {least} messages: {open(f'{self.folder}/errors').read()[-400:]}")

    def processes(self):
        """The runner and its workers."""
        pid = self.process.pid
        try:
            return [pid, *map(int, open(f"/proc/{pid}/task/{pid}/children").read().split())]
        except OSError:
            return [pid]

    def pss_mb(self):
        total = 0
        for pid in self.processes():
            try:
                total += sum(int(line.split()[1]) for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:"))
            except OSError:
                pass
        return total * 1024 / 1e6

    def switches(self):
        """How often any thread of any process has gone to sleep or was made to."""
        total = 0
        for pid in self.processes():
            for task in os.listdir(f"/proc/{pid}/task"):
                for line in open(f"/proc/{pid}/task/{task}/status"):
                    if "ctxt_switches" in line:
                        total += int(line.split()[1])
        return total


COUNTS = {"W1": 4_000_000, "W2": 10_000, "W3": 2_000, "W4": 10_000}
if QUICK:
    COUNTS = {"W1": 200_000, "W2": 500, "W3": 300, "W4": 500}


def ours(w, state=False, **values):
    """Messages a second, as the peers measure it: from the first that is made to the last that the sink has."""
    count = COUNTS[w]
    with Pipeline.shipped(w, state, count=count, **values) as pipeline:
        pipeline.finish()
        return count * 1e9 / (pipeline.result(count)["last"] - pipeline.started())


PORT = 8767


class Server:
    """The peers' HTTP server: every answer after five milliseconds."""

    def __enter__(self):
        self.process = subprocess.Popen([f"{PEERS}/httpserver", str(PORT), "5000"])
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                self.get("reset")
                return self
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("the HTTP server does not answer")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, path):
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{PORT}/{path}"))


def ours_w4():
    """The sink is a built-in that notes no times: to the end of the process."""
    count = COUNTS["W4"]
    with Server() as server, Pipeline.shipped("W4", count=count, url=f"http://127.0.0.1:{PORT}/post") as pipeline:
        pipeline.finish()
        seen = server.get("stats")
        if seen["requests"] != count or seen["seq_sum"] != count * (count - 1) // 2:
            raise RuntimeError(f"the server got something else than {count} messages: {seen}")
        return count * 1e9 / (pipeline.ended - pipeline.started())


def ours_w5():
    """Like the command-line peers: the whole process, in MB of input a second."""
    data = f"{PEERS}/data/in.jsonl"
    reference = data + ".expected"
    if not os.path.exists(reference):
        errors = [x for x in map(json.loads, open(data)) if x["level"] == "error"]
        json.dump([len(errors), sum(x["id"] for x in errors)], open(reference, "w"))
    with Pipeline.shipped("W5", data=data) as pipeline:
        pipeline.finish()
        took = (pipeline.ended - pipeline.spawned) / 1e9
        found = [json.loads(line) for line in open(f"{pipeline.folder}/out.jsonl")]
        if [len(found), sum(x["id"] for x in found)] != json.load(open(reference)) or any(list(x) != ["id", "msg"] for x in found):
            raise RuntimeError("the output of W5 is not what it should be")
        return os.path.getsize(data) / 1e6 / took


def peer(w, name):
    name, _, sink = name.partition("+")
    command = [PYTHON, f"{PEERS}/bench.py", w, "--peer", name, "--timeout", "90", *(["--sink", sink] if sink else [])]
    if w == "W4" and name.startswith("curl"):
        command += ["--n", str(COUNTS["W4"])]
    elif QUICK and w != "W5":
        command += ["--n", "200"]
    found = ask(command, limit=150)
    if found.get("verdict") or found.get("rate") is None:
        raise RuntimeError(str(found)[:300])
    if found.get("lost"):
        note(f"{w}, {name}: {found['lost']} of {found['n']} messages were lost")
    return found["rate"] * (1e6 / (1 << 20) if w == "W2" else 1)


spent = {}


def per_cpu_second(label, call):
    before = cpu_seconds()
    rate = call()
    spent[label] = COUNTS["W3"] / (cpu_seconds() - before)
    return rate


def split(rounds=6500):
    return ask([BENCH, "split", str(COUNTS["W3"]), "--rounds", str(rounds)])["rate"]


# W3 is defined by its 6,500 rounds, which take Python's hashlib two milliseconds; libcrypto does as many more in that time.
ROUNDS_IN_TWO_MS = 22_000


MATTER = {"W1": ["mpq", "fifo-many"], "W2": ["shm", "mpq"], "W3": ["split", "mpq"], "W4": ["curl64", "mpq+curl64"], "W5": ["jq", "xargs-jq"]}
TARGETS = {("W1", "mpq"): 40, ("W2", "shm"): 1.5, ("W4", "curl64"): 0.65, ("W5", "jq"): 1.7}
WORK = {"W1": "64 B, identity", "W2": "1 MiB frames, in place", "W3": "6,500 rounds of SHA-256", "W4": "JSON posted, 64 in flight",
        "W5": "JSON lines through jq, a line a message"}


def peers_of(w):
    if not ALL_PEERS:
        return MATTER[w]
    # The peers' own list, read and not run.
    for node in ast.parse(open(f"{PEERS}/run_all.py").read()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PLAN":
            return ast.literal_eval(node.value)[w].split()
    return MATTER[w]


def pipeline_table(w, has_peers):
    unit = "MB/s" if w == "W5" else "/s"
    t = Table(w, f"{w}: {WORK[w]}, 2 workers, {'MB' if w == 'W5' else 'messages'} a second", ROUNDS)
    if w in ("W4", "W5") and not has_peers:
        note(f"{w} needs the peers' {'HTTP server' if w == 'W4' else 'input'}")
        return t
    t.run("ringway", {"W4": ours_w4, "W5": ours_w5}.get(w, lambda: ours(w)))
    if w == "W3":
        t.run("split by hand", split)
        t.compare("against the same work split by hand, natively", "ringway", "split by hand", at_least=0.97)
        t.run("ringway, 2 ms", lambda: ours(w, rounds=ROUNDS_IN_TWO_MS))
        t.run("split by hand, 2 ms", lambda: split(ROUNDS_IN_TWO_MS))
        t.compare("the same with about 2 ms a message, as in Python", "ringway, 2 ms", "split by hand, 2 ms", at_least=0.97)
        # What nobody else on the machine can distort, and never above 1 but for noise: nothing is handed over there.
        for label, call in list(t.runs.items()):
            t.run(label, lambda label=label, call=call: per_cpu_second(label, call))
            t.run(f"{label}, CPU", lambda label=label: spent[label])
        t.compare("the same, messages for each second of CPU", "ringway, CPU", "split by hand, CPU")
    for name in peers_of(w) if has_peers else []:
        t.run(name, lambda name=name: peer(w, name))
        t.compare(f"against {name}", "ringway", name, at_least=TARGETS.get((w, name)), unit=unit)
    if not has_peers and w != "W3":
        t.value("alone", "ringway", unit=unit)
    return t


# ---------------------------------------------------------------- Python stages


def python_peer(w, name, count=None):
    """A peer's rate, our Python stages included, and how long its first result took."""
    name, _, sink = name.partition("+")
    command = [PYTHON, f"{PEERS}/bench.py", w, "--peer", name, "--timeout", "90", *(["--sink", sink] if sink else [])]
    if count or QUICK:
        command += ["--n", str(count if not QUICK else 200)]
    found = ask(command, limit=150)
    if found.get("verdict") or found.get("rate") is None or found.get("lost") or found.get("sum_ok") is False or found.get("server_ok") is False:
        raise RuntimeError(str(found)[:300])
    firsts[w, name] = found.get("run_to_first_s")
    return found["rate"] * (1e6 / (1 << 20) if w == "W2" else 1)


firsts = {}


def python_table(has_python):
    t = Table("python", "All stages in Python, 2 workers", ROUNDS)
    if not has_python:
        note("python needs the peers")
        return t
    runs = [("W1", "ringway", 400_000), ("W1", "ringway-batch", 1_000_000), ("W1", "fifo-many", None), ("W1", "mpq", None), ("W1", "seed", None),
            ("W1", "pool-tuned", 400_000), ("W2", "ringway-view", None), ("W2", "shm", None), ("W3", "ringway", None), ("W3", "split", None),
            ("W4", "ringway+curl64", None), ("W4", "seed+thread", None)]
    for w, name, count in runs:
        t.run(f"{w} {name}", lambda w=w, name=name, count=count: python_peer(w, name, count))
    t.run("first", lambda: firsts.get(("W3", "ringway")))
    t.value("W1, messages a second", "W1 ringway", at_least=300_000, unit="/s")
    t.compare("W1 against batched faster-fifo", "W1 ringway", "W1 fifo-many")
    t.compare("W1 against multiprocessing.Queue", "W1 ringway", "W1 mpq")
    t.compare("W1 against the program with two managed queues", "W1 ringway", "W1 seed")
    t.compare("W1, batch: 512, against Pool.imap_unordered in chunks of 512", "W1 ringway-batch", "W1 pool-tuned", at_least=1)
    t.compare("W2, views, against hand-written shared slots, MiB/s", "W2 ringway-view", "W2 shm", at_least=1, unit="MiB/s")
    t.compare("W3 against the same work split by hand", "W3 ringway", "W3 split", at_least=0.97)
    t.compare("W4 against the program with a thread for each request", "W4 ringway+curl64", "W4 seed+thread", at_least=4)
    t.value("W3, from `ringway run` to the first result, seconds", "first", at_most=0.15, unit="s")
    return t


FAULTS = {"kill": "a worker is killed", "exc": "a message raises", "int": "Ctrl-C", "term": "SIGTERM", "mainkill": "SIGKILL of the main process"}


def fault(kind, w):
    """1 when it ended in order and left nothing. A killed worker costs no message; a message that raises stops the run with its name."""
    count = 600 if w == "W3" else 40_000
    found = ask([PYTHON, f"{PEERS}/bench.py", w, "--peer", "ringway", "--n", str(count), "--fault", kind, "--stall", "10", "--timeout", "90"], limit=150)
    wanted = {"kill": 0, "exc": 65, "int": 0, "term": 0, "mainkill": -signal.SIGKILL}[kind]
    whole = kind != "kill" or (found.get("received") == count and found.get("sum_ok"))
    fine = found.get("verdict") is None and found["rc"] == wanted and whole and not found.get("left") and not found.get("shm_left")
    if not fine:
        note(f"faults, {w}, {kind}: {str(found)[:400]}")
    return 1.0 if fine else 0.0


def fault_table(has_peers):
    t = Table("faults", "Faults with Python stages: 1 for an end in order, nothing lost, nothing left", 1 if QUICK else 3)
    if not has_peers:
        note("faults needs the peers")
        return t
    for w in ("W3", "W1"):
        for kind, words in FAULTS.items():
            if w == "W3" or kind == "kill":
                t.run(f"{w} {kind}", lambda kind=kind, w=w: fault(kind, w))
                t.value(f"{w}, {words}", f"{w} {kind}", at_least=1)
    return t


# ---------------------------------------------------------------- start, stop, idle


def validate(stages, plugin="hash", settings="{rounds: 1}"):
    """The time of the whole process."""
    folder = tempfile.mkdtemp(prefix="ringway-bench.")
    try:
        text = "ringway: 1\nstages:\n  s0:\n    plugin: generate\n    with: {count: 1}\n"
        for i in range(1, stages - 1):
            text += f"  s{i}:\n    plugin: {plugin}\n    inputs: [s{i - 1}]\n    queue: {{capacity: 16, message: 4KiB}}\n    with: {settings}\n"
        text += f"  s{stages - 1}:\n    plugin: discard\n    inputs: [s{stages - 2}]\n    queue: {{capacity: 16, message: 4KiB}}\n"
        with open(f"{folder}/p.yaml", "w") as file:
            file.write(text)
        start = time.monotonic()
        done = subprocess.run([BENCH, "validate", f"{folder}/p.yaml"], capture_output=True, text=True, timeout=60)
        took = time.monotonic() - start
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-300:])
        return took * 1000
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def first_message(processes):
    with Pipeline.shipped("W1", count=1000, workers=processes - 2) as pipeline:
        pipeline.finish()
        return (pipeline.result(1000)["first"] - pipeline.spawned) / 1e6


def stop():
    with Pipeline.shipped("W1", count=10 ** 15) as pipeline:
        pipeline.wait_for_count(1000)
        start = time.monotonic()
        pipeline.process.send_signal(signal.SIGTERM)
        pipeline.finish(30)
        return (time.monotonic() - start) * 1000


def w1_memory():
    with Pipeline.shipped("W1", count=10 ** 15) as pipeline:
        pipeline.wait_for_count(100_000)
        most = 0
        for _ in range(2 if QUICK else 10):
            most = max(most, pipeline.pss_mb())
            time.sleep(0.05)
        return most


def start_table(has_peers):
    t = Table("start", "Start, stop, memory", ROUNDS)
    for stages in (20, 1000):
        t.run(f"validate {stages}", lambda stages=stages: validate(stages))
        t.value(f"validate {stages:,} stages", f"validate {stages}", unit="ms")
    # The filters are compiled, each for itself.
    t.run("validate jq", lambda: validate(20, "jq", "{filter: .n}"))
    t.value("validate 20 stages, 18 of them jq filters", "validate jq", unit="ms")
    for processes in (4, 16, 128):
        t.run(f"first {processes}", lambda processes=processes: first_message(processes))
        t.value(f"run to the first message, {processes} processes", f"first {processes}", unit="ms", at_most=150 if processes == 16 else None)
    t.run("stop", stop)
    t.value("SIGTERM to the end, W1", "stop", unit="ms")
    t.run("memory", w1_memory)
    t.value("W1's processes, summed PSS, while it runs", "memory", unit="MB", at_most=40)
    if has_peers:
        t.run("memory mpq", lambda: ask([PYTHON, f"{PEERS}/bench.py", "W1", "--peer", "mpq", "--pss", "--n", "20000"])["pss_mb"])
        t.value("the same of mpq", "memory mpq", unit="MB")
    return t


def idle():
    """Memory, and how often anybody woke up, of a pipeline that waits."""
    with Pipeline.shipped("idle") as pipeline:
        # It has come to rest when a second passes in which nothing happens; if that never comes, it polls.
        before = pipeline.switches()
        for _ in range(10):
            time.sleep(1)
            now = pipeline.switches()
            if now == before:
                break
            before = now
        seconds = 2 if QUICK else 10
        before, start = pipeline.switches(), time.monotonic()
        time.sleep(seconds)
        wakes = (pipeline.switches() - before) / (time.monotonic() - start)
        return wakes, pipeline.pss_mb()


def idle_table():
    t = Table("idle", "A pipeline that waits", ROUNDS if QUICK else min(ROUNDS, 3))
    last = {}

    def wakes():
        last["wakes"], last["pss"] = idle()
        return last["wakes"]

    t.run("wakes", wakes)
    t.run("pss", lambda: last["pss"])
    t.value("wake-ups a second, all processes", "wakes", unit="/s", at_most=0)
    t.value("summed PSS, 5 processes", "pss", unit="MB")
    return t


# ----------------------------------------------------------------


ready = set()


def main():
    unknown = [t for t in ONLY if t not in TABLES]
    if unknown:
        sys.exit(f"bench: there is no table {', '.join(unknown)}: {' '.join(TABLES)}")
    if not os.access(BENCH, os.X_OK):
        sys.exit(f"bench: {BENCH} is not built")
    has_peers = set_up_peers()
    has_python = has_peers and subprocess.run([PYTHON, "-c", "import faster_fifo"], stderr=subprocess.DEVNULL).returncode == 0
    if any(t in ONLY for t in ("ring", "fan", "trip")) and build_boost():
        ready.add("boost")
    makers = {"ring": lambda: ring_table(has_python), "fan": lambda: fan_table(has_python), "lease": lease_table,
              "trip": lambda: trip_table(has_python), "cost": cost_table, "options": options_table, "start": lambda: start_table(has_peers), "idle": idle_table,
              "python": lambda: python_table(has_python), "faults": lambda: fault_table(has_peers),
              **{w: lambda w=w: pipeline_table(w, has_peers) for w in WORK}}
    tables = []
    start = time.time()
    for name in TABLES:
        if name in ONLY:
            table = makers[name]()
            table.measure()
            tables.append(table)
    show(tables)
    if ENV.get("BENCH_JSON"):
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
        machine = dict(cpu=cpu, cpus=len(os.sched_getaffinity(0)), kernel=platform.release(), load=os.getloadavg(),
                       memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1), python=platform.python_version())
        written = dict(machine=machine, date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)), seconds=round(time.time() - start),
                       rounds=dict(pipelines=ROUNDS, rings=RING_ROUNDS), notes=notes, rows=[r for t in tables for r in t.results()],
                       figures={t.name: t.figures for t in tables}, taken_by_others={t.name: t.busy for t in tables})
        with open(ENV["BENCH_JSON"], "w") as file:
            json.dump(written, file, indent=1)
    missed = [r for t in tables for r in t.results() if r["met"] is False]
    judged = [r for t in tables for r in t.results() if r["met"] is not None]
    if QUICK:
        print("quick: this shows that everything works; the figures mean nothing")
    disturbed = sum(r["disturbed"] for r in judged)
    print(f"{len(judged) - len(missed)} of {len(judged)} targets met{f' ({disturbed} judged on a busy machine)' if disturbed else ''}, {round(time.time() - start)} s")
    if any("FAILED" in text and re.search(r", (ringway|in place|held|free|with all)", text) for text in notes):
        sys.exit(1)


main()
