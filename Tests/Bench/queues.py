#!/usr/bin/env python3
"""Python's queues between processes, measured as `bench ring` measures: producers on CPU 0, consumers on CPU 1, what the
consumers take in a window of time, every cache line read, every number checked.

  queues.py mpq|manager|fifo --size 64 [--producers 1 --consumers 1 --seconds 0.3] [--round-trip]
"""
import argparse, ctypes, json, mmap, multiprocessing, os, queue, signal, struct, sys, time

HEAD = struct.Struct("<QQ")
LANE = 16          # words of eight bytes: a pair of cache lines for each process
STARTED, STOPPED = 0, LANE


def pin(cpu):
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        pass


def touch(message):
    # A slice with a stride reads one byte of every line; bytes objects make it in C.
    message[::64]


class FasterFifo:
    """faster-fifo, which takes a number of bytes and raises after ten seconds."""

    def __init__(self, size):
        from faster_fifo import Queue
        import faster_fifo_reduction  # noqa: F401, as its README asks
        self.queue = Queue(max_size_bytes=max(4 << 20, size * 16 + (1 << 20)))

    def put(self, message):
        while True:
            try:
                return self.queue.put(message, timeout=5)
            except queue.Full:
                pass

    def take(self):
        while True:
            try:
                return self.queue.get_many(timeout=5, max_messages_to_get=64)
            except queue.Empty:
                pass

    def take_one(self):
        while True:
            try:
                return self.queue.get(timeout=5)
            except queue.Empty:
                pass


class Standard:
    """multiprocessing.Queue, or a queue that lives in a manager's process."""

    def __init__(self, queue):
        self.queue = queue
        self.put = queue.put
        self.take_one = queue.get

    def take(self):
        return (self.queue.get(),)


def make(kind, size, manager):
    capacity = max(4, min(1024, (64 << 20) // size))
    if kind == "fifo":
        return FasterFifo(size)
    return Standard(manager.Queue(capacity) if kind == "manager" else multiprocessing.Queue(capacity))


def words(page):
    return memoryview(page).cast("Q")


def ready(page, lane):
    page[LANE * (lane + 2) + 2] = 1
    while not page[STARTED]:
        time.sleep(0.00005)


def produce(q, page, lane, producer, size):
    pin(0)
    pad = bytes(size - HEAD.size)
    ready(page, lane)
    n = 0
    while not page[STOPPED]:
        q.put(HEAD.pack(n, producer) + pad)
        n += 1
    page[LANE * (lane + 2)] = n
    page[LANE * (lane + 2) + 1] = n * (n - 1) // 2


def consume(q, page, lane):
    pin(1)
    at = LANE * (lane + 2)
    ready(page, lane)
    following = [0] * 64
    count = total = 0
    ended = False
    while not ended:
        for message in q.take():
            if message is None:
                # A batch may hold another consumer's end; it goes back.
                if ended:
                    q.put(None)
                ended = True
                continue
            n, producer = HEAD.unpack_from(message)
            touch(message)
            if n < following[producer]:
                os._exit(1)
            following[producer] = n + 1
            count += 1
            total += n
        page[at] = count
        page[at + 1] = total


def reap(process):
    process.join()
    if process.exitcode != 0:
        sys.exit("queues.py: a process ended with status %s" % process.exitcode)


def throughput(kind, a, manager):
    q = make(kind, a.size, manager)
    page = words(mmap.mmap(-1, 1 << 16))
    readers = [multiprocessing.Process(target=consume, args=(q, page, i), daemon=True) for i in range(a.consumers)]
    writers = [multiprocessing.Process(target=produce, args=(q, page, a.consumers + i, i, a.size), daemon=True) for i in range(a.producers)]
    for process in readers + writers:
        process.start()
    while not all(page[LANE * (lane + 2) + 2] for lane in range(a.consumers + a.producers)):
        time.sleep(0.001)
    page[STARTED] = 1

    def taken():
        return sum(page[LANE * (lane + 2)] for lane in range(a.consumers))

    time.sleep(a.seconds / 3)
    before, start = taken(), time.monotonic()
    time.sleep(a.seconds)
    after, end = taken(), time.monotonic()
    page[STOPPED] = 1
    for process in writers:
        reap(process)
    for _ in readers:
        q.put(None)
    for process in readers:
        reap(process)

    def total(lanes, word):
        return sum(page[LANE * (lane + 2) + word] for lane in lanes)

    ours, theirs = range(a.consumers), range(a.consumers, a.consumers + a.producers)
    if [total(ours, 0), total(ours, 1)] != [total(theirs, 0), total(theirs, 1)]:
        sys.exit("queues.py: what arrived is not what was sent")
    print(json.dumps({"contender": kind, "size": a.size, "rate": (after - before) / (end - start), "checked": total(ours, 0)}))


def echo(there, back):
    pin(1)
    while (message := there.take_one()) is not None:
        touch(message)
        back.put(message[:16] + message[16:])


def round_trips(kind, a, manager):
    there, back = make(kind, a.size, manager), make(kind, a.size, manager)
    process = multiprocessing.Process(target=echo, args=(there, back), daemon=True)
    process.start()
    pin(0)
    pad = bytes(a.size - HEAD.size)
    all, n = [], 0
    start = time.monotonic_ns()
    warm, end = start + int(a.seconds * 0.2e9), start + int(a.seconds * 1.2e9)
    while True:
        sent = time.monotonic_ns()
        if sent > end and len(all) >= 3:
            break
        there.put(HEAD.pack(n, 0) + pad)
        message = back.take_one()
        touch(message)
        took = time.monotonic_ns() - sent
        if HEAD.unpack_from(message)[0] != n:
            sys.exit("queues.py: another message came back")
        if sent > warm:
            all.append(took)
        n += 1
    there.put(None)
    reap(process)
    all.sort()
    print(json.dumps({"contender": kind, "size": a.size, "round_trips": len(all), "p50_ns": all[len(all) // 2], "p99_ns": all[len(all) * 99 // 100]}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["mpq", "manager", "fifo"])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--producers", type=int, default=1)
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--round-trip", action="store_true")
    a = parser.parse_args()
    multiprocessing.set_start_method("fork")
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: nothing outlives a driver that was interrupted
    manager = multiprocessing.Manager() if a.kind == "manager" else None
    (round_trips if a.round_trip else throughput)(a.kind, a, manager)
    sys.stdout.flush()
    if manager:
        manager.shutdown()
    os._exit(0)                                          # not waiting for feeder threads


main()
