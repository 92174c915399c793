"""by_hand.py COUNT URL: the three functions joined by hand, as programs like this are usually written.

Kill a worker, and it hangs. Raise an exception, and it is never seen. Press Ctrl-C, and look at what `ps` still shows.
"""

import multiprocessing
import sys
import threading

from functions import work, work2, work3


def produce(count, frames, workers):
    for frame in work(count):
        frames.put(frame)
    for _ in range(workers):
        frames.put(None)


def compute(frames, results):
    while (frame := frames.get()) is not None:
        results.put(work2(frame))
    results.put(None)


def deliver(results, url, workers):
    threads = []
    while workers:
        result = results.get()
        if result is None:
            workers -= 1
            continue
        thread = threading.Thread(target=work3, args=(result, url))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    count, url = int(sys.argv[1]), sys.argv[2]
    workers = multiprocessing.cpu_count()
    with multiprocessing.Manager() as manager:
        frames, results = manager.Queue(1024), manager.Queue(1024)
        pool = multiprocessing.Pool(workers + 2)
        pool.apply_async(produce, (count, frames, workers))
        for _ in range(workers):
            pool.apply_async(compute, (frames, results))
        pool.apply_async(deliver, (results, url, workers))
        pool.close()
        pool.join()
