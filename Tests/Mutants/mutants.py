#!/usr/bin/env python3
"""Breaks each rule of the rings in turn; the tests must notice every one.

A mutant is a rule and what the code would be without it. The sources that it needs are copied into a small package of
its own (.build-mutants), so that a mutant costs one build of Rings and its tests, and the work tree is never touched. First
the code as it is must pass. Then each mutant must fail what it says will notice it: a test of RingsTests, which runs in a
debug build with failpoints, or a hand-over of the stepper, which is built as the product is. A wait without end counts as
noticed; a mutant that does not build, or whose text is not there exactly once, is an error.

    python3 Tests/Mutants/mutants.py [--only TEXT] [--list] [--sources FOLDER]
"""
import argparse, os, pathlib, re, shutil, signal, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from catalog import HARMLESS, MUTANTS, Mutant  # noqa: E402

TOP = HERE.parent.parent
SCRATCH = TOP / ".build-mutants"
PACKAGE = SCRATCH / "package"
# Seconds for a run of tests: several times what they take.
DEADLINE = 90
LONG = {"RingsTests": 400, "AbandonedHandoffTests": 400}

MANIFEST = """// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "mutants",
  targets: [
    .target(name: "CLinux"),
    .target(name: "Platform", dependencies: ["CLinux"], swiftSettings: settings),
    .target(name: "Rings", dependencies: ["Platform"], swiftSettings: settings),
    .target(name: "CTrace", path: "Tests/CTrace"),
    .executableTarget(name: "stepper", dependencies: ["Rings", "Platform", "CTrace"], path: "Tests/Stepper", swiftSettings: settings),
    .target(name: "Harness", path: "Tests/Harness", swiftSettings: settings),
    .testTarget(name: "RingsTests", dependencies: ["Harness", "Rings", "Platform"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
"""
PARTS = ["Sources/CLinux", "Sources/Platform", "Sources/Rings", "Tests/CTrace", "Tests/Stepper", "Tests/Harness", "Tests/RingsTests"]


def write(path: pathlib.Path, data: bytes) -> None:
    """Leaves a file alone that is as it should be, so that nothing is built again for it."""
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def lay_out(sources: pathlib.Path, mutant: Mutant | None) -> None:
    write(PACKAGE / "Package.swift", MANIFEST.encode())
    wanted = {}
    for part in PARTS:
        root = sources if part.startswith("Sources") else TOP
        for file in (root / part).rglob("*"):
            if file.is_file():
                wanted[str(file.relative_to(root))] = file.read_bytes()
    for name, find, replace in mutant.edits if mutant else []:
        path = "Sources/Rings/" + name
        text = wanted[path].decode()
        if text.count(find) != 1:
            raise LookupError(f"{name} has {text.count(find)} times: {find}")
        wanted[path] = text.replace(find, replace).encode()
    for part in PARTS:
        if (PACKAGE / part).exists():
            for file in (PACKAGE / part).rglob("*"):
                if file.is_file() and str(file.relative_to(PACKAGE)) not in wanted:
                    file.unlink()
    for name, data in wanted.items():
        write(PACKAGE / name, data)


def kill_session(session: int) -> None:
    """Kills every process of a session: the tests' own is in a group of its own (proc_pid_stat(5))."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                if int(file.read().rpartition(")")[2].split()[3]) == session:
                    os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass


def run(command: list[str], deadline: float) -> tuple[int | None, str]:
    """The status, None at the deadline, and the output. A session of its own, so that nothing is left behind."""
    process = subprocess.Popen(
        command, cwd=PACKAGE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=deadline)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        kill_session(process.pid)
        output, _ = process.communicate()
        return None, output


def build(*arguments: str) -> None:
    status, output = run(["swift", "build", "--scratch-path", str(SCRATCH / "build"), *arguments], 900)
    if status != 0:
        errors = [line for line in output.splitlines() if "error:" in line]
        raise RuntimeError("it does not build: " + (errors or output.splitlines()[-1:])[0])


def run_tests(filter: str) -> tuple[bool, str]:
    """Whether they pass, and what they said."""
    build("--build-tests")
    status, output = run(["swift", "test", "--skip-build", "--scratch-path", str(SCRATCH / "build"), "--filter", filter], LONG.get(filter, DEADLINE))
    if status is None:
        return False, "it waits without end"
    counted = re.search(r"Test run with (\d+) test", output)
    if status == 0 and (not counted or int(counted.group(1)) == 0):
        raise RuntimeError(f"no test is named {filter}")
    failed = re.findall(r"Test (\w+)\(.*recorded an issue", output) or re.findall(r"Fatal error: .*", output)
    return status == 0, ", ".join(dict.fromkeys(failed)) or ("" if status == 0 else f"status {status}")


def run_stepper(shape: str) -> tuple[bool, str]:
    build("-c", "release", "--product", "stepper")
    command = [str(SCRATCH / "build/release/stepper"), "--seed", "1"] + (["--shape", shape] if shape else ["--stride", "97"])
    status, output = run(command, 300)
    if status is None:
        return False, "it waits without end"
    kind = re.search(r"instruction.*", output)
    return status == 0, "" if status == 0 else "stepper: " + (kind.group(0)[:110] if kind else output.strip()[-110:])


def judge(mutant: Mutant) -> tuple[bool, str]:
    """Whether it survives, and who noticed it."""
    notes = []
    for filter in mutant.tests:
        passes, what = run_tests(filter)
        if not passes:
            return False, what
        notes.append(filter)
    for shape in mutant.stepper:
        passes, what = run_stepper(shape)
        if not passes:
            return False, what
        notes.append("stepper: " + shape)
    return True, "passes " + ", ".join(notes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose name or rule contains this text")
    parser.add_argument("--list", action="store_true", help="print the rules and leave")
    parser.add_argument("--sources", type=pathlib.Path, default=TOP, help="the folder whose Sources are broken (this one)")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.only.lower() in (m.name + " " + m.rule).lower()]
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name}: {mutant.rule}" + (f" Survives: {mutant.survives}" if mutant.survives else ""))
        for name, why in HARMLESS:
            print(f"not a mutant: {name}: {why}")
        return 0
    # Texts first: they break with every change of the code, and a build takes long.
    wrong = []
    for mutant in chosen:
        for name, find, _ in mutant.edits:
            count = (options.sources / "Sources/Rings" / name).read_text().count(find)
            if count != 1:
                wrong.append(f"{mutant.name}: {name} has {count} times: {find}")
    if wrong:
        print("\n".join(wrong))
        return 1
    width = max(len(m.name) for m in chosen)
    lay_out(options.sources, None)
    passes, what = run_tests("RingsTests")
    print(f"{'as it is':{width}}  {'passes' if passes else 'FAILS: ' + what}", flush=True)
    if not passes:
        return 1
    survivors = errors = 0
    for mutant in chosen:
        start = time.monotonic()
        try:
            lay_out(options.sources, mutant)
            survives, what = judge(mutant)
        except (LookupError, RuntimeError) as error:
            errors += 1
            print(f"{mutant.name:{width}}  ERROR: {error}", flush=True)
            continue
        seconds = f"{time.monotonic() - start:4.0f} s"
        if survives and mutant.survives:
            print(f"{mutant.name:{width}}  {seconds}  survives, as expected: {mutant.survives}", flush=True)
        elif survives:
            survivors += 1
            print(f"{mutant.name:{width}}  {seconds}  SURVIVES: {what}", flush=True)
        else:
            print(f"{mutant.name:{width}}  {seconds}  noticed by {what}", flush=True)
    lay_out(options.sources, None)
    print(f"{len(chosen)} mutants, {survivors} survive unexpectedly, {errors} errors")
    return 1 if survivors or errors else 0


if __name__ == "__main__":
    sys.exit(main())
